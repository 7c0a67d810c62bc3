"""Who we are: the chain of providers, renewal, and what never is shown."""

import json
import stat
import time
from datetime import timedelta

import pytest
from servers import ACCESS_KEY, SECRET_KEY
from identity_server import IdentityServer


@pytest.fixture
def identity():
    with IdentityServer(ACCESS_KEY, SECRET_KEY) as started:
        yield started


@pytest.fixture
def root(put):
    put("key", b"open")
    return put.root


def write_files(tool, config="", credentials=""):
    folder = tool.home / ".aws"
    folder.mkdir(exist_ok=True)
    (folder / "config").write_text(config)
    (folder / "credentials").write_text(credentials)


KEYS = f"aws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = {SECRET_KEY}\n"


def opens(ours):
    answer = ours("get", "key")
    assert answer.get("text") == "open", answer


def test_without_any_credentials_the_error_says_where_was_looked(versitygw, tool):
    message = tool(versitygw, keys=False)("get", "key")["message"]
    assert "no S3 credentials" in message and "anonymous" in message


@pytest.mark.parametrize(
    "environment,options",
    [
        ({"S3_ACCESS_KEY_ID": ACCESS_KEY, "S3_SECRET_ACCESS_KEY": SECRET_KEY, "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y"}, {}),
        ({"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}, {}),
        ({"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y"}, {"access_key_id": ACCESS_KEY, "secret_access_key": SECRET_KEY}),
        ({"NEW_ID": "x", "OLD_ID": ACCESS_KEY, "OLD_SECRET": SECRET_KEY}, {"callback": True}),
    ],
    ids=["S3_ before AWS_", "AWS_", "options before the environment", "callback"],
)
def test_keys_are_taken_from_where_they_are_given(versitygw, root, tool, environment, options):
    opens(tool(versitygw, root=root, keys=False, environment=environment, **options))


def test_half_a_pair_of_keys_is_an_error(versitygw, tool):
    message = tool(versitygw, keys=False, environment={"AWS_ACCESS_KEY_ID": "x"})("get", "key")["message"]
    assert "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY together" in message


def test_a_callback_that_fails_is_heard(versitygw, tool):
    message = tool(versitygw, keys=False, callback=True)("get", "key")["message"]
    assert "the embedding program has no keys" in message


@pytest.mark.parametrize(
    "config,credentials,environment,options",
    [
        ("", f"[default]\n{KEYS}", {}, {}),
        (f"[default]\n{KEYS}", "", {}, {}),
        (f"[profile work]\n{KEYS}", "", {"AWS_PROFILE": "work"}, {}),
        ("", f"[default]\naws_access_key_id=x\naws_secret_access_key=y\n[work]\n{KEYS}", {}, {"profile": "work"}),
        ("", f"[work]\n{KEYS}", {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y"}, {"profile": "work"}),
    ],
)
def test_profiles_hold_keys(versitygw, root, tool, config, credentials, environment, options):
    write_files(tool, config, credentials)
    opens(tool(versitygw, root=root, keys=False, environment=environment, **options))


def test_a_profile_gives_endpoint_region_and_style(proxy, root, tool):
    write_files(tool, f"[profile work]\nregion = eu-north-1\nservices = here\ns3 =\n  addressing_style = path\n{KEYS}"
                      f"[services here]\ns3 =\n  endpoint_url = {proxy.url}\n")
    tool(None, root=root, keys=False, profile="work")("head", "key")
    assert "/eu-north-1/s3/" in proxy.seen[0].headers["authorization"]


def test_an_unknown_profile_is_an_error(tool, versitygw):
    ours = tool(versitygw, keys=False, profile="nobody")
    status, errors = ours.close()
    assert status == 1 and "profile 'nobody'" in errors


def test_a_credential_process_is_asked(versitygw, root, tool):
    program = tool.home / "give keys"
    program.write_text("#!/bin/sh\necho secrets on the error stream >&2\ncat <<END\n"
                       + json.dumps({"Version": 1, "AccessKeyId": ACCESS_KEY, "SecretAccessKey": SECRET_KEY}) + "\nEND\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    write_files(tool, f'[default]\ncredential_process = "{program}" --option\n')
    opens(tool(versitygw, root=root, keys=False))


@pytest.mark.parametrize("command", ["false", "true", f"echo '{{\"AccessKeyId\": \"{SECRET_KEY}\"}}'", f"echo {SECRET_KEY}", "yes"])
def test_a_credential_process_that_fails_is_an_error_without_its_output(versitygw, tool, command):
    write_files(tool, f"[default]\ncredential_process = {command}\n")
    answer = tool(versitygw, keys=False)("get", "key")
    assert answer["error"] == "ShardyfusionError" and "credential_process" in answer["message"]


def test_a_credential_process_that_hangs_can_be_cancelled(versitygw, tool):
    write_files(tool, "[default]\ncredential_process = sleep 1000\n")
    answer = tool(versitygw, keys=False)("cancel", 200, "get", "key")
    assert answer["error"] == "CancelledError" and answer["ms"] < 10_000


@pytest.mark.parametrize("setting", ["sso_session = ours", "sso_start_url = https://example.com/start"])
def test_a_profile_that_signs_on_by_sso_is_refused_with_a_way_out(versitygw, tool, setting):
    write_files(tool, f"[profile work]\n{setting}\nsso_account_id = 1\nsso_role_name = reader\n")
    answer = tool(versitygw, keys=False, environment={"AWS_PROFILE": "work"})("get", "key")
    assert answer["error"] == "ShardyfusionError"
    assert "SSO" in answer["message"] and "export-credentials --profile work" in answer["message"]


def test_instance_metadata_gives_the_role_of_the_machine(identity, versitygw, root, tool):
    environment = {"AWS_EC2_METADATA_DISABLED": None, "AWS_EC2_METADATA_SERVICE_ENDPOINT": identity.url}
    opens(tool(versitygw, root=root, keys=False, environment=environment))
    assert [seen[:2] for seen in identity.seen] == [
        ("PUT", "/latest/api/token"),
        ("GET", "/latest/meta-data/iam/security-credentials/"),
        ("GET", "/latest/meta-data/iam/security-credentials/the-role"),
    ]


def test_instance_metadata_is_asked_once_and_for_two_seconds_at_most(identity, versitygw, tool):
    identity.delay = 30
    environment = {"AWS_EC2_METADATA_DISABLED": None, "AWS_EC2_METADATA_SERVICE_ENDPOINT": identity.url}
    ours = tool(versitygw, keys=False, environment=environment)
    answer = ours("get", "key")
    assert "no S3 credentials" in answer["message"] and answer["ms"] < 10_000
    ours("get", "key")
    ours("get", "key")
    assert len(identity.seen) == 1


def test_instance_metadata_is_not_asked_when_others_answer(identity, versitygw, root, tool):
    environment = {"AWS_EC2_METADATA_DISABLED": None, "AWS_EC2_METADATA_SERVICE_ENDPOINT": identity.url}
    opens(tool(versitygw, root=root, environment=environment))
    assert identity.seen == []


def test_a_container_gives_credentials(identity, versitygw, root, tool):
    (tool.home / "token").write_text("container token\n")
    environment = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{identity.url}/container?x=1", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": tool.home / "token"}
    opens(tool(versitygw, root=root, keys=False, environment=environment))
    assert identity.seen[0][2]["authorization"] == "container token"


def test_a_containers_token_is_not_sent_to_strangers_in_the_open(versitygw, tool):
    environment = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://example.com/keys", "AWS_CONTAINER_AUTHORIZATION_TOKEN": "container token"}
    message = tool(versitygw, keys=False, environment=environment)("get", "key")["message"]
    assert "expected https" in message and "container token" not in message


def test_a_web_identity_takes_on_a_role(identity, versitygw, root, tool):
    identity.failures = [503, 500]
    (tool.home / "token").write_text("web token\n")
    environment = {"AWS_WEB_IDENTITY_TOKEN_FILE": tool.home / "token", "AWS_ROLE_ARN": "arn:aws:iam::1:role/reader",
                   "AWS_ENDPOINT_URL_STS": identity.url}
    ours = tool(versitygw, root=root, keys=False, environment=environment)
    ours("get", "key")  # the store knows no sessions; that the keys were asked for and used is what counts
    form = identity.seen[-1][3]
    assert len(identity.seen) == 3 and "Action=AssumeRoleWithWebIdentity" in form and "WebIdentityToken=web%20token" in form
    assert "RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Freader" in form and "authorization" not in identity.seen[-1][2]


def test_a_profile_takes_on_a_role_with_anothers_keys(identity, versitygw, tool):
    write_files(tool, "[profile role]\nrole_arn = arn:aws:iam::1:role/reader\nsource_profile = base\nexternal_id = 42\n", f"[base]\n{KEYS}")
    ours = tool(versitygw, keys=False, profile="role", environment={"AWS_ENDPOINT_URL_STS": identity.url})
    ours("get", "key")
    _, _, headers, form = identity.seen[0]
    assert "Action=AssumeRole&" in form and "ExternalId=42" in form
    assert f"Credential={ACCESS_KEY}/" in headers["authorization"] and "/sts/aws4_request" in headers["authorization"]


def test_profiles_in_a_circle_are_an_error(versitygw, tool):
    write_files(tool, "[profile a]\nrole_arn = x\nsource_profile = b\n[profile b]\nrole_arn = x\nsource_profile = a\n")
    assert "cycle" in tool(versitygw, keys=False, profile="a")("get", "key")["message"]


def test_an_expired_token_is_renewed_and_the_request_repeated_once(proxy, root, tool):
    environment = {"OLD_ID": "old", "OLD_SECRET": "old", "OLD_TOKEN": "old", "NEW_ID": ACCESS_KEY, "NEW_SECRET": SECRET_KEY}
    proxy.add(status=400, code="ExpiredToken")
    opens(tool(proxy, root=root, keys=False, callback=True, environment=environment))
    assert "Credential=old/" in proxy.seen[0].headers["authorization"] and proxy.seen[0].headers["x-amz-security-token"] == "old"
    assert f"Credential={ACCESS_KEY}/" in proxy.seen[1].headers["authorization"]
    proxy.add(times=10, status=400, code="ExpiredToken")
    before = len(proxy.seen)
    answer = tool(proxy, root=root, keys=False, callback=True, environment=environment)("get", "key")
    assert "ExpiredToken" in answer["message"] and len(proxy.seen) == before + 2


def imds(identity):
    return {"AWS_EC2_METADATA_DISABLED": None, "AWS_EC2_METADATA_SERVICE_ENDPOINT": identity.url}


def documents(identity):
    return [seen for seen in identity.seen if seen[1].endswith("/the-role")]


def test_credentials_are_renewed_in_the_background_before_they_expire(identity, versitygw, root, tool):
    identity.lifetime = timedelta(minutes=5)
    ours = tool(versitygw, root=root, keys=False, environment=imds(identity))
    opens(ours)
    identity.lifetime = timedelta(hours=5)
    deadline = time.monotonic() + 20
    while len(documents(identity)) < 2 and time.monotonic() < deadline:
        opens(ours)
    assert len(documents(identity)) == 2
    for _ in range(20):
        opens(ours)
    assert len(documents(identity)) == 2


def test_a_renewal_that_fails_leaves_the_old_credentials_in_use(identity, versitygw, root, tool):
    identity.lifetime = timedelta(minutes=5)
    ours = tool(versitygw, root=root, keys=False, environment=imds(identity))
    identity_answer = identity.answer
    opens(ours)
    identity.answer = lambda *_: (500, "")
    for _ in range(50):
        opens(ours)
    identity.answer = identity_answer


def test_expired_credentials_are_not_used_and_many_threads_renew_once(identity, proxy, root, tool):
    identity.lifetime = timedelta(seconds=-5)
    ours = tool(proxy, root=root, keys=False, environment=imds(identity))
    opens(ours)
    identity.lifetime = timedelta(hours=5)
    before = len(documents(identity))
    assert all(answer["text"] == "open" for answer in ours("parallel", 16, "get", "key"))
    assert len(documents(identity)) == before + 1


def test_secrets_that_a_server_repeats_are_not_shown(proxy, tool):
    proxy.add(times=10, status=403, code=SECRET_KEY, headers={"document": f"<Message>you said {SECRET_KEY}</Message>"})
    message = tool(proxy)("get", "key")["message"]
    assert "***" in message and SECRET_KEY not in message
