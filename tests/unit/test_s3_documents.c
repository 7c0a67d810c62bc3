#include "cmocka_includes.h"
#include "storage/s3/checksum.h"
#include "storage/s3/credentials.h"
#include "storage/s3/ini.h"
#include "storage/s3/responses.h"
#include "storage/s3/shown.h"
#include "storage/s3/upload.h"

#include <string.h>

/* ------------------------------------------------------------------------------------------------------------- XML */

static void what_others_say_is_shown_without_secrets_and_controls(void **state) {
  (void)state;
  static const struct {
    const char *text;
    const char *shown;
  } cases[] = {
      {"Access Denied", "Access Denied"},
      {"", ""},
      {"red \x1b[31m and \xc2\x9b"
       "2J and \xe2\x80\xae",
       "red \\x1b[31m and \\x9b2J and \\u202e"},
      {"two\nlines\r\n", "two lines"},
      {"not \xff UTF-8", "not \\xff UTF-8"},
      {"GET /b/k?X-Amz-Signature=0123abcd&X-Amz-Date=20260101T000000Z",
       "GET /b/k?X-Amz-Signature=\xe2\x80\xa6&X-Amz-Date=20260101T000000Z"},
      {"Authorization: AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1, Signature=ab12",
       "Authorization: \xe2\x80\xa6 Credential=\xe2\x80\xa6, Signature=\xe2\x80\xa6"},
      {"the key AKIAIOSFODNN7EXAMPLE is not known", "the key \xe2\x80\xa6 is not known"},
      {"x-amz-security-token:abc/def==\nhost:h", "x-amz-security-token:\xe2\x80\xa6 host:h"},
      {"{\"SecretAccessKey\": \"wJalr XUtn\", \"Code\": \"x\"}",
       "{\"SecretAccessKey\": \"\xe2\x80\xa6 XUtn\", \"Code\": \"x\"}"},
      {"sum e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 differs", "sum \xe2\x80\xa6 differs"},
      {"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY1", "\xe2\x80\xa6"},
      {"to https://user:password@host/path", "to https://\xe2\x80\xa6@host/path"},
      {"the token: expired", "the token: expired"},
      {"object shards/run_id=47d604aa-d1b6-4317-be87-e4d0a0407dad/db=00000/shard.db",
       "object shards/run_id=47d604aa-d1b6-4317-be87-e4d0a0407dad/db=00000/shard.db"},
      {"ETag \"48b7d16756354178ada5439edae3fbee\"", "ETag \"48b7d16756354178ada5439edae3fbee\""},
  };
  char shown[256];
  for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
    sf_s3_show(shown, sizeof(shown), cases[i].text, strlen(cases[i].text));
    assert_string_equal(shown, cases[i].shown);
  }
  sf_s3_show(shown, 10, "0 2 4 6 8 0", 11);
  assert_string_equal(shown, "0 2 4 \xe2\x80\xa6");
  sf_s3_show(shown, 10, "\x1b\x1b\x1b\x1b", 4);
  assert_string_equal(shown, "\\x1b\xe2\x80\xa6");
}

static void an_error_document_is_read_whichever_service_wrote_it(void **state) {
  (void)state;
  static const char s3[] =
      "<?xml version=\"1.0\"?>\n<Error><Code>PermanentRedirect</Code><Message>go &lt;there&gt;\n"
      "</Message><Endpoint>b.s3.eu.example</Endpoint><Region>eu-1</Region><RequestId>42</RequestId>"
      "<Unknown><Code>inner</Code></Unknown></Error>";
  sf_s3_error_document document;
  sf_s3_parse_error(s3, sizeof(s3) - 1, &document);
  assert_string_equal(document.message, "go <there>");
  assert_string_equal(document.endpoint, "b.s3.eu.example");
  assert_string_equal(document.region, "eu-1");
  assert_string_equal(document.request_id, "42");
  static const char sts[] =
      "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type>"
      "<Code>AccessDenied</Code><Message>no</Message></Error></ErrorResponse>";
  sf_s3_parse_error(sts, sizeof(sts) - 1, &document);
  assert_string_equal(document.code, "AccessDenied");
  assert_string_equal(document.message, "no");
}

static void what_is_no_error_document_gives_an_empty_one(void **state) {
  (void)state;
  static const char *const texts[] = {"", "<html><h1>502</h1></html>", "<Error><Code>A</Code>", "not XML", "<Error/>x"};
  for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
    sf_s3_error_document document;
    sf_s3_parse_error(texts[i], strlen(texts[i]), &document);
    assert_string_equal(document.code, "");
  }
}

/* libexpat still ends the empty element whose beginning stopped it. */
static void an_empty_element_of_too_long_a_name_is_refused(void **state) {
  (void)state;
  char name[2000];
  memset(name, 'n', sizeof(name) - 1);
  name[sizeof(name) - 1] = '\0';
  char *document = sf_format("<%s/>", name);
  sf_s3_list_page page;
  assert_false(sf_s3_parse_list_page(document, strlen(document), &page));
  sf_s3_error_document error;
  sf_s3_parse_error(document, strlen(document), &error);
  assert_string_equal(error.code, "");
  free(document);
}

/* Names that fill the path to its last character, and one more element in them. */
static void elements_whose_names_together_are_too_long_are_refused(void **state) {
  (void)state;
  for (size_t length = 500; length <= 520; length++) {
    char name[600];
    memset(name, 'n', length);
    name[length] = '\0';
    char *document = sf_format("<%s><Code>x</Code><b><c/></b></%s>", name, name);
    sf_s3_list_page page;
    assert_false(sf_s3_parse_list_page(document, strlen(document), &page));
    char *id = sf_s3_parse_upload_id(document, strlen(document));
    assert_null(id);
    free(document);
  }
}

static void entities_and_document_types_are_refused(void **state) {
  (void)state;
  static const char bomb[] =
      "<!DOCTYPE Error [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;\">]><Error><Code>&b;</Code></Error>";
  static const char outside[] = "<!DOCTYPE Error SYSTEM \"file:///etc/passwd\"><Error><Code>A</Code></Error>";
  sf_s3_error_document document;
  sf_s3_parse_error(bomb, sizeof(bomb) - 1, &document);
  assert_string_equal(document.code, "");
  sf_s3_parse_error(outside, sizeof(outside) - 1, &document);
  assert_string_equal(document.code, "");
}

static void a_list_page_holds_keys_and_folders_decoded_where_they_are_encoded(void **state) {
  (void)state;
  static const char encoded[] =
      "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>b</Name><Prefix>p%2F</Prefix>"
      "<EncodingType>url</EncodingType><IsTruncated>true</IsTruncated><NextContinuationToken>t=/+</"
      "NextContinuationToken>"
      "<Contents><Key>p/a%3Db+c%2Bd</Key><Size>1</Size></Contents>"
      "<CommonPrefixes><Prefix>p/x%2F</Prefix></CommonPrefixes></ListBucketResult>";
  sf_s3_list_page page;
  assert_true(sf_s3_parse_list_page(encoded, sizeof(encoded) - 1, &page));
  assert_int_equal(page.num_keys, 2);
  assert_string_equal(page.keys[0], "p/a=b c+d");
  assert_string_equal(page.keys[1], "p/x/");
  assert_true(page.is_truncated);
  assert_string_equal(page.continuation_token, "t=/+");
  sf_s3_list_page_clear(&page);
  static const char plain[] = "<ListBucketResult><Contents><Key>a+b%41&amp;</Key></Contents></ListBucketResult>";
  assert_true(sf_s3_parse_list_page(plain, sizeof(plain) - 1, &page));
  assert_string_equal(page.keys[0], "a+b%41&");
  assert_false(page.is_truncated);
  sf_s3_list_page_clear(&page);
}

static void a_page_of_uploads_holds_keys_and_ids(void **state) {
  (void)state;
  static const char encoded[] =
      "<ListMultipartUploadsResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Bucket>b</Bucket>"
      "<EncodingType>url</EncodingType><IsTruncated>true</IsTruncated><NextKeyMarker>p%2Fb</NextKeyMarker>"
      "<NextUploadIdMarker>two+</NextUploadIdMarker>"
      "<Upload><Key>p%2Fa+1</Key><UploadId>one%2F</UploadId><Initiator><ID>x</ID></Initiator></Upload>"
      "<Upload><UploadId>two+</UploadId><Key>p%2Fb</Key></Upload></ListMultipartUploadsResult>";
  sf_s3_uploads_page page;
  assert_true(sf_s3_parse_uploads_page(encoded, sizeof(encoded) - 1, &page));
  assert_int_equal(page.num_uploads, 2);
  assert_string_equal(page.uploads[0].key, "p/a 1");
  assert_string_equal(page.uploads[0].id, "one%2F");
  assert_string_equal(page.uploads[1].key, "p/b");
  assert_string_equal(page.uploads[1].id, "two+");
  assert_true(page.is_truncated);
  assert_string_equal(page.next_key, "p/b");
  assert_string_equal(page.next_id, "two+");
  sf_s3_uploads_page_clear(&page);
  static const char none[] = "<ListMultipartUploadsResult><Bucket>b</Bucket></ListMultipartUploadsResult>";
  assert_true(sf_s3_parse_uploads_page(none, sizeof(none) - 1, &page));
  assert_int_equal(page.num_uploads, 0);
  assert_false(page.is_truncated);
  sf_s3_uploads_page_clear(&page);
}

static void what_is_no_page_of_uploads_is_refused(void **state) {
  (void)state;
  static const char *const texts[] = {
      "",
      "<ListBucketResult><Name>b</Name></ListBucketResult>",
      "<ListMultipartUploadsResult><Upload><Key>a</Key></Upload></ListMultipartUploadsResult>",
      "<ListMultipartUploadsResult><Upload><UploadId>a</UploadId></Upload><Upload><UploadId>b</UploadId></Upload>"
      "</ListMultipartUploadsResult>",
      "<ListMultipartUploadsResult><EncodingType>url</EncodingType><Upload><Key>%4</Key><UploadId>a</UploadId></Upload>"
      "</ListMultipartUploadsResult>",
  };
  for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
    sf_s3_uploads_page page;
    assert_false(sf_s3_parse_uploads_page(texts[i], strlen(texts[i]), &page));
    assert_int_equal(page.num_uploads, 0);
  }
}

static void what_is_no_list_page_is_refused(void **state) {
  (void)state;
  static const char *const texts[] = {
      "",
      "<Error><Code>A</Code></Error>",
      "<ListBucketResult><Contents><Key>a</Key></Contents>",
      "<ListBucketResult><EncodingType>url</EncodingType><Contents><Key>%4</Key></Contents></ListBucketResult>",
  };
  for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
    sf_s3_list_page page;
    assert_false(sf_s3_parse_list_page(texts[i], strlen(texts[i]), &page));
    assert_null(page.keys);
  }
}

/* ------------------------------------------------------------------------------------------------------------- Files */

static void a_config_file_has_sections_settings_and_nested_settings(void **state) {
  (void)state;
  static const char text[] = "# a comment\n"
                             "stray = 1\n"
                             "[default]\r\n"
                             "Region=us-west-2 ; where it is\r\n"
                             "secret = a#b;c=d\n"
                             "s3 =\n"
                             "  addressing_style = path\n"
                             "\tmax_concurrent_requests=5\n"
                             "output = json\n"
                             "  not_nested = 1\n"
                             "[ profile  two words ]\n"
                             "region = one\n"
                             "region = two\n"
                             "[profile \"quoted\"]\n"
                             "key = \n"
                             "[broken\n"
                             "lost = 1\n"
                             "[empty]\n";
  sf_ini ini;
  assert_true(sf_ini_parse(text, sizeof(text) - 1, &ini));
  assert_string_equal(sf_ini_get(&ini, "default", "region"), "us-west-2");
  assert_string_equal(sf_ini_get(&ini, "default", "secret"), "a#b;c=d");
  assert_string_equal(sf_ini_get(&ini, "default", "s3.addressing_style"), "path");
  assert_string_equal(sf_ini_get(&ini, "default", "s3.max_concurrent_requests"), "5");
  assert_string_equal(sf_ini_get(&ini, "default", "output"), "json");
  assert_string_equal(sf_ini_get(&ini, "default", "not_nested"), "1");
  assert_string_equal(sf_ini_get(&ini, "profile two words", "region"), "two");
  assert_string_equal(sf_ini_get(&ini, "profile quoted", "key"), "");
  assert_null(sf_ini_get(&ini, "broken", "lost"));
  assert_null(sf_ini_get(&ini, "default", "stray"));
  assert_true(sf_ini_has_section(&ini, "empty"));
  assert_false(sf_ini_has_section(&ini, "other"));
  sf_ini_clear(&ini);
}

static sf_code parse_credentials(const char *text, sf_s3_credentials **credentials, sf_error *error) {
  *credentials = NULL;
  return sf_s3_parse_credential_document(text, strlen(text), "test", credentials, error);
}

static void a_credential_document_gives_keys_and_their_end(void **state) {
  (void)state;
  sf_s3_credentials *credentials;
  assert_int_equal(parse_credentials("{\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"S\",\"Token\":\"T\","
                                     "\"Expiration\":\"1970-01-02T00:00:00Z\"}",
                                     &credentials, NULL),
                   SF_OK);
  assert_string_equal(credentials->access_key_id, "A");
  assert_string_equal(credentials->secret_access_key, "S");
  assert_string_equal(credentials->session_token, "T");
  assert_int_equal(credentials->expires_at, 86400);
  sf_s3_credentials_release(credentials);
  assert_int_equal(
      parse_credentials("{\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"S\",\"Expiration\":null}", &credentials, NULL),
      SF_OK);
  assert_null(credentials->session_token);
  assert_int_equal(credentials->expires_at, 0);
  sf_s3_credentials_release(credentials);
}

static void a_broken_credential_document_is_refused_without_showing_it(void **state) {
  (void)state;
  static const char *const texts[] = {
      "hush",
      "{\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"hush\"",
      "{\"AccessKeyId\":\"A\",\"SecretAccessKey\":[\"hush\"]}",
      "{\"AccessKeyId\":\"hush\"}",
      "{\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"hush\\r\\nX-Evil: 1\"}",
      "{\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"hush\",\"Expiration\":\"hush\"}",
      "{\"AccessKeyId\":\"\",\"SecretAccessKey\":\"hush\"}",
  };
  for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
    sf_s3_credentials *credentials;
    sf_error error;
    assert_int_equal(parse_credentials(texts[i], &credentials, &error), SF_ERROR);
    assert_null(strstr(error.message, "hush"));
  }
}

static void secrets_are_starred_out_of_texts(void **state) {
  (void)state;
  sf_s3_credentials *credentials;
  assert_int_equal(sf_s3_credentials_create("ID", "secret", "token", 0, "test", &credentials, NULL), SF_OK);
  char text[] = "a secret token of a secret";
  sf_s3_credentials_redact(credentials, text);
  assert_string_equal(text, "a ****** ***** of a ******");
  sf_s3_credentials_release(credentials);
}

/* ------------------------------------------------------------------------------------------------------------ Checksums */

static void assert_checksum(sf_checksum_algorithm algorithm, const char *text, const char *expected) {
  sf_expected_checksum checksum = {.algorithm = algorithm};
  memcpy(checksum.value, expected, strlen(expected) + 1);
  assert_true(sf_expected_checksum_holds(&checksum, text, strlen(text)));
  assert_false(sf_expected_checksum_holds(&checksum, text, strlen(text) - 1));
}

/* The check values of the catalogue of CRC algorithms (reveng), in base64; SHA of "abc" from FIPS 180. */
static void checksums_have_their_published_check_values(void **state) {
  (void)state;
  assert_checksum(SF_CHECKSUM_CRC32, "123456789", "y/Q5Jg==");
  assert_checksum(SF_CHECKSUM_CRC32C, "123456789", "4waSgw==");
  assert_checksum(SF_CHECKSUM_CRC64NVME, "123456789", "rosUhgp5mIg=");
  assert_checksum(SF_CHECKSUM_SHA1, "abc", "qZk+NkcGgWq6PiVxeFDCbJzQ2J0=");
  assert_checksum(SF_CHECKSUM_SHA256, "abc", "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=");
}

static void checksum_in_pieces(sf_checksum_algorithm algorithm, const uint8_t *bytes, size_t length, size_t longest,
                               char value[64]) {
  sf_checksum *checksum = sf_checksum_create(algorithm);
  for (size_t at = 0, step = 1; at < length; at += step, step = step % longest + 1)
    sf_checksum_update(checksum, bytes + at, step < length - at ? step : length - at);
  assert_true(sf_checksum_finish(checksum, value));
  sf_checksum_free(checksum);
}

/* Pieces of a few bytes go by the tables alone, longer ones by what the CPU does best. */
static void a_checksum_does_not_depend_on_how_the_bytes_come(void **state) {
  (void)state;
  uint8_t bytes[5000];
  for (size_t i = 0; i < sizeof(bytes); i++)
    bytes[i] = (uint8_t)(i * i * 37 >> 3);
  for (int algorithm = SF_CHECKSUM_CRC32; algorithm <= SF_CHECKSUM_SHA256; algorithm++)
    for (size_t length = 0; length <= sizeof(bytes); length = length < 300 ? length + 1 : length * 2 - 1) {
      char whole[64];
      char pieces[64];
      sf_checksum *checksum = sf_checksum_create((sf_checksum_algorithm)algorithm);
      sf_checksum_update(checksum, bytes, length);
      assert_true(sf_checksum_finish(checksum, whole));
      sf_checksum_free(checksum);
      checksum_in_pieces((sf_checksum_algorithm)algorithm, bytes, length, 13, pieces);
      assert_string_equal(whole, pieces);
      checksum_in_pieces((sf_checksum_algorithm)algorithm, bytes, length, 700, pieces);
      assert_string_equal(whole, pieces);
    }
}

static void add_header(sf_http_response *response, const char *name, const char *value) {
  assert_true(sf_buffer_append(&response->headers, name, strlen(name) + 1));
  assert_true(sf_buffer_append(&response->headers, value, strlen(value) + 1));
}

static void only_checksums_of_whole_objects_are_expected(void **state) {
  (void)state;
  sf_http_response response = {0};
  assert_int_equal(sf_expected_checksum_of(&response).algorithm, SF_CHECKSUM_NONE);
  add_header(&response, "x-amz-checksum-sha256", "c29tZXRoaW5n-3");
  assert_int_equal(sf_expected_checksum_of(&response).algorithm, SF_CHECKSUM_NONE);
  add_header(&response, "x-amz-checksum-crc32", "y/Q5Jg==");
  assert_int_equal(sf_expected_checksum_of(&response).algorithm, SF_CHECKSUM_CRC32);
  add_header(&response, "x-amz-checksum-type", "COMPOSITE");
  assert_int_equal(sf_expected_checksum_of(&response).algorithm, SF_CHECKSUM_NONE);
  sf_buffer_free(&response.headers);
}

/* ------------------------------------------------------------------------------------------------------------ Uploads */

static void an_upload_has_an_id_or_is_none(void **state) {
  (void)state;
  static const char document[] = "<InitiateMultipartUploadResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
                                 "<Bucket>b</Bucket><Key>k</Key><UploadId>a&amp;b</UploadId>"
                                 "</InitiateMultipartUploadResult>";
  char *id = sf_s3_parse_upload_id(document, strlen(document));
  assert_string_equal(id, "a&b");
  free(id);
  static const char *const others[] = {
      "", "x", "<InitiateMultipartUploadResult/>", "<UploadId>1</UploadId>",
      "<InitiateMultipartUploadResult><UploadId></UploadId></InitiateMultipartUploadResult>"};
  for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
    assert_null(sf_s3_parse_upload_id(others[i], strlen(others[i])));
}

static void parts_are_as_large_as_their_number_demands(void **state) {
  (void)state;
  const uint64_t part = SF_S3_UPLOAD_PART_SIZE;
  assert_int_equal(sf_s3_upload_part_size(1), part);
  assert_int_equal(sf_s3_upload_part_size(part * 10000), part);
  assert_int_equal(sf_s3_upload_part_size(part * 10000 + 1), 2 * part);
  assert_int_equal(sf_s3_upload_part_size(part * 40000), 4 * part);
  assert_int_equal(sf_s3_upload_part_size(part * 40000 + 1), 0);
  assert_int_equal(sf_s3_upload_part_size((uint64_t)INT64_MAX), 0);
}

/* The MD5s of "a" and "b"; md5 of both digests one after the other. */
static void parts_make_an_etag_of_their_md5s(void **state) {
  (void)state;
  char a[] = "\"0cc175b9c0f1b6a831c399e269772661\"";
  char b[] = "\"92eb5ffee6ae2fec3ad71c777531578f\"";
  char other[] = "\"something else of the store's own\"";
  char *const etags[] = {a, b};
  char *const unknown[] = {a, other};
  char etag[64];
  assert_true(sf_s3_multipart_etag(etags, 2, etag));
  assert_string_equal(etag, "\"96e024ba2074fe77e8e965ba43a704be-2\"");
  assert_false(sf_s3_multipart_etag(unknown, 2, etag));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_others_say_is_shown_without_secrets_and_controls),
      cmocka_unit_test(an_error_document_is_read_whichever_service_wrote_it),
      cmocka_unit_test(what_is_no_error_document_gives_an_empty_one),
      cmocka_unit_test(an_empty_element_of_too_long_a_name_is_refused),
      cmocka_unit_test(elements_whose_names_together_are_too_long_are_refused),
      cmocka_unit_test(entities_and_document_types_are_refused),
      cmocka_unit_test(a_list_page_holds_keys_and_folders_decoded_where_they_are_encoded),
      cmocka_unit_test(what_is_no_list_page_is_refused),
      cmocka_unit_test(a_page_of_uploads_holds_keys_and_ids),
      cmocka_unit_test(what_is_no_page_of_uploads_is_refused),
      cmocka_unit_test(a_config_file_has_sections_settings_and_nested_settings),
      cmocka_unit_test(a_credential_document_gives_keys_and_their_end),
      cmocka_unit_test(a_broken_credential_document_is_refused_without_showing_it),
      cmocka_unit_test(secrets_are_starred_out_of_texts),
      cmocka_unit_test(checksums_have_their_published_check_values),
      cmocka_unit_test(a_checksum_does_not_depend_on_how_the_bytes_come),
      cmocka_unit_test(only_checksums_of_whole_objects_are_expected),
      cmocka_unit_test(an_upload_has_an_id_or_is_none),
      cmocka_unit_test(parts_are_as_large_as_their_number_demands),
      cmocka_unit_test(parts_make_an_etag_of_their_md5s),
  };
  return cmocka_run_group_tests_name("s3_documents", tests, NULL, NULL);
}
