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
  --query-file) mapfile -t COMPREPLY < <(compgen -f -- "$current") && return ;;
  --cache-dir) mapfile -t COMPREPLY < <(compgen -d -- "$current") && return ;;
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
