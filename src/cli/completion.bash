# bash completion for shardyfusion: commands and options are asked of the command itself.
_shardyfusion() {
  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    mapfile -t COMPREPLY < <(compgen -W "--help --version $(shardyfusion --help |
      sed -n '/^Commands:/,/^$/s/^  \([a-z][a-z]*\) .*/\1/p')" -- "$current")
    return
  fi
  case $previous in
  --query-file | --vectors | --ids | --payloads | --shard-ids | --routing-contexts | --jsonl | --centroids | --hyperplanes)
    mapfile -t COMPREPLY < <(compgen -f -- "$current") && return ;;
  --cache-dir | --staging-dir) mapfile -t COMPREPLY < <(compgen -d -- "$current") && return ;;
  --metric) mapfile -t COMPREPLY < <(compgen -W "cosine l2 dot_product" -- "$current") && return ;;
  --backend) mapfile -t COMPREPLY < <(compgen -W "sqlite lance" -- "$current") && return ;;
  --strategy) mapfile -t COMPREPLY < <(compgen -W "cluster lsh explicit cel" -- "$current") && return ;;
  --format) mapfile -t COMPREPLY < <(compgen -W "table jsonl" -- "$current") && return ;;
  esac
  if [[ $current == -* ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$(shardyfusion "${COMP_WORDS[1]}" --help 2> /dev/null |
      sed -n 's/^  \(--[a-z0-9-]*\).*/\1/p')" -- "$current")
  else
    mapfile -t COMPREPLY < <(compgen -d -- "$current")
  fi
}
complete -o filenames -F _shardyfusion shardyfusion
