# Completion of apimart in fish. Made by completions/generate.py from apimart's own options; do not edit.
# To try it:  source completions/apimart.fish

# Print the command that is being typed; inside a command line that apimart wraps, print -- and the words of that line.
function __apimart_place
    set --local words (commandline --current-process --tokenize --cut-at-cursor)
    set --local place apimart
    set --local option
    set --erase words[1]
    for word in $words
        set --erase words[1]
        if test -n "$option"
            set option
            continue
        end
        switch "$place $word"
            case 'apimart balance' 'apimart check' 'apimart sandbox' 'apimart config' 'apimart config show' 'apimart config path'
                set place "$place $word"
            case 'apimart balance --api-key' 'apimart balance --api-key-file' 'apimart balance --profile' 'apimart balance -p' 'apimart balance --scope' 'apimart balance --base-url' 'apimart balance --timeout' 'apimart balance --output' 'apimart balance -o' 'apimart check --min' 'apimart check --max-used' 'apimart check --on-unlimited' 'apimart check --api-key' 'apimart check --api-key-file' 'apimart check --profile' 'apimart check -p' 'apimart check --scope' 'apimart check --base-url' 'apimart check --timeout' 'apimart check --output' 'apimart check -o' 'apimart sandbox --remain' 'apimart sandbox --used' 'apimart sandbox --account-remain' 'apimart sandbox --account-used' 'apimart sandbox --burn' 'apimart sandbox --latency' 'apimart sandbox --fault' 'apimart sandbox --port' 'apimart config show --api-key' 'apimart config show --api-key-file' 'apimart config show --profile' 'apimart config show -p' 'apimart config show --scope' 'apimart config show --base-url' 'apimart config show --timeout'
                set option $word
            case 'apimart sandbox --'
                printf '%s\n' -- $words
                return
            case 'apimart sandbox -*'
            case 'apimart sandbox *'
                printf '%s\n' -- $word $words
                return
        end
    end
    echo $place
end

function __apimart_at
    set --local place (__apimart_place)
    test "$place[1]" = "$argv"
end

# Complete the wrapped command line as if it stood alone.
function __apimart_wrapped
    set --local words (__apimart_place)
    set --erase words[1]
    set words (string escape -- $words) (commandline --current-token --cut-at-cursor)
    complete --do-complete "$words"
end

complete --command apimart --no-files
complete --command apimart --condition '__apimart_at --' --arguments '(__apimart_wrapped)'
complete --command apimart --condition '__apimart_at apimart' --arguments balance --description 'Show what is left and what is used'
complete --command apimart --condition '__apimart_at apimart' --arguments check --description 'Gate: exit 0 only when the balance is proved to be enough'
complete --command apimart --condition '__apimart_at apimart' --arguments sandbox --description 'Run a local gateway that speaks the documented API'
complete --command apimart --condition '__apimart_at apimart' --arguments config --description 'Show the effective settings, or where the config file is'
complete --command apimart --condition '__apimart_at apimart' --long-option version --description 'Print the version and exit'
complete --command apimart --condition '__apimart_at apimart' --long-option install-completion --description 'Install completion for the current shell'
complete --command apimart --condition '__apimart_at apimart' --long-option show-completion --description 'Show completion for the current shell, to copy it or customize the installation'
complete --command apimart --condition '__apimart_at apimart' --long-option help --description 'Show this message and exit'
complete --command apimart --condition '__apimart_at apimart balance' --long-option api-key --exclusive --description 'The API key; - reads it from standard input. Arguments are visible in the process list: prefer APIMART_API_KEY or --api-key-file'
complete --command apimart --condition '__apimart_at apimart balance' --long-option api-key-file --require-parameter --force-files --description 'A file that holds the key and nothing else'
complete --command apimart --condition '__apimart_at apimart balance' --long-option profile --short-option p --exclusive --description 'A profile of the config file'
complete --command apimart --condition '__apimart_at apimart balance' --long-option scope --exclusive --arguments 'key account both' --description 'Which balance: this key\'s (default), the account\'s, or both'
complete --command apimart --condition '__apimart_at apimart balance' --long-option base-url --exclusive --description 'The gateway\'s address; with or without /v1. Default: https://api.apimart.ai'
complete --command apimart --condition '__apimart_at apimart balance' --long-option timeout --exclusive --description 'Wall-clock limit for the whole answer, retries included. Default: 10'
complete --command apimart --condition '__apimart_at apimart balance' --long-option output --short-option o --exclusive --arguments 'table json value' --description 'How to write the answer. Default: table'
complete --command apimart --condition '__apimart_at apimart balance' --long-option json --description 'Short for --output json'
complete --command apimart --condition '__apimart_at apimart balance' --long-option help --description 'Show this message and exit'
complete --command apimart --condition '__apimart_at apimart check' --long-option min --exclusive --description 'The remaining balance must be at least this'
complete --command apimart --condition '__apimart_at apimart check' --long-option max-used --exclusive --description 'The used balance must be at most this'
complete --command apimart --condition '__apimart_at apimart check' --long-option on-unlimited --exclusive --arguments 'pass fail' --description 'Whether an unlimited quota meets --min; fail exits 7'
complete --command apimart --condition '__apimart_at apimart check' --long-option fail-open --description 'Exit 0, with a warning, when the gateway could not be reached (code 5)'
complete --command apimart --condition '__apimart_at apimart check' --long-option quiet --short-option q --description 'Print nothing on standard output; the exit code is the answer'
complete --command apimart --condition '__apimart_at apimart check' --long-option api-key --exclusive --description 'The API key; - reads it from standard input. Arguments are visible in the process list: prefer APIMART_API_KEY or --api-key-file'
complete --command apimart --condition '__apimart_at apimart check' --long-option api-key-file --require-parameter --force-files --description 'A file that holds the key and nothing else'
complete --command apimart --condition '__apimart_at apimart check' --long-option profile --short-option p --exclusive --description 'A profile of the config file'
complete --command apimart --condition '__apimart_at apimart check' --long-option scope --exclusive --arguments 'key account both' --description 'Which balance: this key\'s (default), the account\'s, or both'
complete --command apimart --condition '__apimart_at apimart check' --long-option base-url --exclusive --description 'The gateway\'s address; with or without /v1. Default: https://api.apimart.ai'
complete --command apimart --condition '__apimart_at apimart check' --long-option timeout --exclusive --description 'Wall-clock limit for the whole answer, retries included. Default: 10'
complete --command apimart --condition '__apimart_at apimart check' --long-option output --short-option o --exclusive --arguments 'table json value' --description 'How to write the answer. Default: table'
complete --command apimart --condition '__apimart_at apimart check' --long-option json --description 'Short for --output json'
complete --command apimart --condition '__apimart_at apimart check' --long-option help --description 'Show this message and exit'
complete --command apimart --condition '__apimart_at apimart sandbox' --long-option remain --exclusive --description 'What the key has left'
complete --command apimart --condition '__apimart_at apimart sandbox' --long-option used --exclusive --description 'What the key has used'
complete --command apimart --condition '__apimart_at apimart sandbox' --long-option unlimited --description 'Give the key an unlimited quota'
complete --command apimart --condition '__apimart_at apimart sandbox' --long-option account-remain --exclusive --description 'What the account has left'
complete --command apimart --condition '__apimart_at apimart sandbox' --long-option account-used --exclusive --description 'What the account has used'
complete --command apimart --condition '__apimart_at apimart sandbox' --long-option burn --exclusive --description 'Spend this much every second'
complete --command apimart --condition '__apimart_at apimart sandbox' --long-option latency --exclusive --description 'Wait this long before each answer'
complete --command apimart --condition '__apimart_at apimart sandbox' --long-option fault --exclusive --arguments 'unauthorized unknown-key payment-required rate-limit server-error timeout malformed html' --description 'Answer with this failure'
complete --command apimart --condition '__apimart_at apimart sandbox' --long-option port --exclusive --description 'The port on 127.0.0.1; 0 takes a free one'
complete --command apimart --condition '__apimart_at apimart sandbox' --long-option help --description 'Show this message and exit'
complete --command apimart --condition '__apimart_at apimart config' --arguments show --description 'Show every effective setting and its source'
complete --command apimart --condition '__apimart_at apimart config' --arguments path --description 'Print the path of the config file in use'
complete --command apimart --condition '__apimart_at apimart config' --long-option help --description 'Show this message and exit'
complete --command apimart --condition '__apimart_at apimart config show' --long-option api-key --exclusive --description 'The API key; - reads it from standard input. Arguments are visible in the process list: prefer APIMART_API_KEY or --api-key-file'
complete --command apimart --condition '__apimart_at apimart config show' --long-option api-key-file --require-parameter --force-files --description 'A file that holds the key and nothing else'
complete --command apimart --condition '__apimart_at apimart config show' --long-option profile --short-option p --exclusive --description 'A profile of the config file'
complete --command apimart --condition '__apimart_at apimart config show' --long-option scope --exclusive --arguments 'key account both' --description 'Which balance: this key\'s (default), the account\'s, or both'
complete --command apimart --condition '__apimart_at apimart config show' --long-option base-url --exclusive --description 'The gateway\'s address; with or without /v1. Default: https://api.apimart.ai'
complete --command apimart --condition '__apimart_at apimart config show' --long-option timeout --exclusive --description 'Wall-clock limit for the whole answer, retries included. Default: 10'
complete --command apimart --condition '__apimart_at apimart config show' --long-option json --description 'Write one JSON object'
complete --command apimart --condition '__apimart_at apimart config show' --long-option help --description 'Show this message and exit'
complete --command apimart --condition '__apimart_at apimart config path' --long-option json --description 'Write one JSON object'
complete --command apimart --condition '__apimart_at apimart config path' --long-option help --description 'Show this message and exit'
