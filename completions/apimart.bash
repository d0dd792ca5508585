# Completion of apimart in bash. Made by completions/generate.py from apimart's own options; do not edit.
# To try it:  source completions/apimart.bash

_apimart() {
    local IFS=$' \t\n' path=apimart option= wrapped= index word
    local current=${COMP_WORDS[COMP_CWORD]}
    COMPREPLY=()
    for ((index = 1; index < COMP_CWORD; index++)); do
        word=${COMP_WORDS[index]}
        # bash gives --scope=key as three words.
        [[ $word == = ]] && continue
        if [[ $option ]]; then
            option=
            continue
        fi
        case "$path $word" in
            "apimart balance" |\
            "apimart check" |\
            "apimart sandbox" |\
            "apimart config" |\
            "apimart config show" |\
            "apimart config path")
                path="$path $word" ;;
            "apimart balance --api-key" |\
            "apimart balance --api-key-file" |\
            "apimart balance --profile" | "apimart balance -p" |\
            "apimart balance --scope" |\
            "apimart balance --base-url" |\
            "apimart balance --timeout" |\
            "apimart balance --output" | "apimart balance -o" |\
            "apimart check --min" |\
            "apimart check --max-used" |\
            "apimart check --on-unlimited" |\
            "apimart check --api-key" |\
            "apimart check --api-key-file" |\
            "apimart check --profile" | "apimart check -p" |\
            "apimart check --scope" |\
            "apimart check --base-url" |\
            "apimart check --timeout" |\
            "apimart check --output" | "apimart check -o" |\
            "apimart sandbox --remain" |\
            "apimart sandbox --used" |\
            "apimart sandbox --account-remain" |\
            "apimart sandbox --account-used" |\
            "apimart sandbox --burn" |\
            "apimart sandbox --latency" |\
            "apimart sandbox --fault" |\
            "apimart sandbox --port" |\
            "apimart config show --api-key" |\
            "apimart config show --api-key-file" |\
            "apimart config show --profile" | "apimart config show -p" |\
            "apimart config show --scope" |\
            "apimart config show --base-url" |\
            "apimart config show --timeout")
                option=$word ;;
            "apimart sandbox --")
                wrapped=$((index + 1)); break ;;
            "apimart sandbox -"*) ;;
            "apimart sandbox "*)
                wrapped=$index; break ;;
        esac
    done
    [[ $current == = ]] && current=
    if [[ $wrapped ]]; then
        _apimart_wrapped "$wrapped" "$current"
    elif [[ $option ]]; then
        case "$path $option" in
            "apimart balance --api-key-file")
                _apimart_files "$current" ;;
            "apimart balance --scope")
                COMPREPLY=($(compgen -W "key account both" -- "$current")) ;;
            "apimart balance --output" | "apimart balance -o")
                COMPREPLY=($(compgen -W "table json value" -- "$current")) ;;
            "apimart check --on-unlimited")
                COMPREPLY=($(compgen -W "pass fail" -- "$current")) ;;
            "apimart check --api-key-file")
                _apimart_files "$current" ;;
            "apimart check --scope")
                COMPREPLY=($(compgen -W "key account both" -- "$current")) ;;
            "apimart check --output" | "apimart check -o")
                COMPREPLY=($(compgen -W "table json value" -- "$current")) ;;
            "apimart sandbox --fault")
                COMPREPLY=($(compgen -W "unauthorized unknown-key payment-required rate-limit server-error timeout malformed html" -- "$current")) ;;
            "apimart config show --api-key-file")
                _apimart_files "$current" ;;
            "apimart config show --scope")
                COMPREPLY=($(compgen -W "key account both" -- "$current")) ;;
        esac
    else
        case "$path" in
            "apimart")
                local words="balance check sandbox config"
                [[ $current == -* ]] && words="--version --install-completion --show-completion --help"
                COMPREPLY=($(compgen -W "$words" -- "$current")) ;;
            "apimart balance")
                local words="--api-key --api-key-file --profile -p --scope --base-url --timeout --output -o --json --help"
                COMPREPLY=($(compgen -W "$words" -- "$current")) ;;
            "apimart check")
                local words="--min --max-used --on-unlimited --fail-open --quiet -q --api-key --api-key-file --profile -p --scope --base-url --timeout --output -o --json --help"
                COMPREPLY=($(compgen -W "$words" -- "$current")) ;;
            "apimart sandbox")
                local words="--remain --used --unlimited --account-remain --account-used --burn --latency --fault --port --help"
                COMPREPLY=($(compgen -W "$words" -- "$current")) ;;
            "apimart config")
                local words="show path"
                [[ $current == -* ]] && words="--help"
                COMPREPLY=($(compgen -W "$words" -- "$current")) ;;
            "apimart config show")
                local words="--api-key --api-key-file --profile -p --scope --base-url --timeout --json --help"
                COMPREPLY=($(compgen -W "$words" -- "$current")) ;;
            "apimart config path")
                local words="--json --help"
                COMPREPLY=($(compgen -W "$words" -- "$current")) ;;
        esac
    fi
}

# Complete the command line that starts at word $1, as if it stood alone; $2 is the word to complete.
_apimart_wrapped() {
    # The package bash-completion knows best, and loads what it needs.
    if declare -F _comp_command_offset >/dev/null; then
        _comp_command_offset "$1"
    elif declare -F _command_offset >/dev/null; then
        _command_offset "$1"
    elif ((COMP_CWORD == $1)); then
        COMPREPLY=($(compgen -c -- "$2"))
    elif [[ $(complete -p "${COMP_WORDS[$1]}" 2>/dev/null) =~ \ -F\ ([^\ ]+) ]]; then
        COMP_WORDS=("${COMP_WORDS[@]:$1}")
        COMP_CWORD=$((COMP_CWORD - $1))
        "${BASH_REMATCH[1]}" "${COMP_WORDS[0]}" "$2" "${COMP_WORDS[COMP_CWORD - 1]}"
    else
        _apimart_files "$2"
    fi
}

_apimart_files() {
    local IFS=$'\n'
    compopt -o filenames 2>/dev/null
    COMPREPLY=($(compgen -f -- "$1"))
}

complete -F _apimart apimart
