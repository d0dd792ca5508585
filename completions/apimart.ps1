# Completion of apimart in PowerShell. Made by completions/generate.py from apimart's own options; do not edit.
# To try it:  . ./completions/apimart.ps1

Register-ArgumentCompleter -Native -CommandName apimart -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)

    # What can follow each command, with its description.
    $names = @{
        'apimart' = @(
            , @('balance', 'Show what is left and what is used')
            , @('check', 'Gate: exit 0 only when the balance is proved to be enough')
            , @('sandbox', 'Run a local gateway that speaks the documented API')
            , @('config', 'Show the effective settings, or where the config file is')
            , @('--version', 'Print the version and exit')
            , @('--install-completion', 'Install completion for the current shell')
            , @('--show-completion', 'Show completion for the current shell, to copy it or customize the installation')
            , @('--help', 'Show this message and exit')
        )
        'apimart balance' = @(
            , @('--api-key', 'The API key; - reads it from standard input. Arguments are visible in the process list: prefer APIMART_API_KEY or --api-key-file')
            , @('--api-key-file', 'A file that holds the key and nothing else')
            , @('--profile', 'A profile of the config file')
            , @('-p', 'A profile of the config file')
            , @('--scope', 'Which balance: this key''s (default), the account''s, or both')
            , @('--base-url', 'The gateway''s address; with or without /v1. Default: https://api.apimart.ai')
            , @('--timeout', 'Wall-clock limit for the whole answer, retries included. Default: 10')
            , @('--output', 'How to write the answer. Default: table')
            , @('-o', 'How to write the answer. Default: table')
            , @('--json', 'Short for --output json')
            , @('--help', 'Show this message and exit')
        )
        'apimart check' = @(
            , @('--min', 'The remaining balance must be at least this')
            , @('--max-used', 'The used balance must be at most this')
            , @('--on-unlimited', 'Whether an unlimited quota meets --min; fail exits 7')
            , @('--fail-open', 'Exit 0, with a warning, when the gateway could not be reached (code 5)')
            , @('--quiet', 'Print nothing on standard output; the exit code is the answer')
            , @('-q', 'Print nothing on standard output; the exit code is the answer')
            , @('--api-key', 'The API key; - reads it from standard input. Arguments are visible in the process list: prefer APIMART_API_KEY or --api-key-file')
            , @('--api-key-file', 'A file that holds the key and nothing else')
            , @('--profile', 'A profile of the config file')
            , @('-p', 'A profile of the config file')
            , @('--scope', 'Which balance: this key''s (default), the account''s, or both')
            , @('--base-url', 'The gateway''s address; with or without /v1. Default: https://api.apimart.ai')
            , @('--timeout', 'Wall-clock limit for the whole answer, retries included. Default: 10')
            , @('--output', 'How to write the answer. Default: table')
            , @('-o', 'How to write the answer. Default: table')
            , @('--json', 'Short for --output json')
            , @('--help', 'Show this message and exit')
        )
        'apimart sandbox' = @(
            , @('--remain', 'What the key has left')
            , @('--used', 'What the key has used')
            , @('--unlimited', 'Give the key an unlimited quota')
            , @('--account-remain', 'What the account has left')
            , @('--account-used', 'What the account has used')
            , @('--burn', 'Spend this much every second')
            , @('--latency', 'Wait this long before each answer')
            , @('--fault', 'Answer with this failure')
            , @('--port', 'The port on 127.0.0.1; 0 takes a free one')
            , @('--help', 'Show this message and exit')
        )
        'apimart config' = @(
            , @('show', 'Show every effective setting and its source')
            , @('path', 'Print the path of the config file in use')
            , @('--help', 'Show this message and exit')
        )
        'apimart config show' = @(
            , @('--api-key', 'The API key; - reads it from standard input. Arguments are visible in the process list: prefer APIMART_API_KEY or --api-key-file')
            , @('--api-key-file', 'A file that holds the key and nothing else')
            , @('--profile', 'A profile of the config file')
            , @('-p', 'A profile of the config file')
            , @('--scope', 'Which balance: this key''s (default), the account''s, or both')
            , @('--base-url', 'The gateway''s address; with or without /v1. Default: https://api.apimart.ai')
            , @('--timeout', 'Wall-clock limit for the whole answer, retries included. Default: 10')
            , @('--json', 'Write one JSON object')
            , @('--help', 'Show this message and exit')
        )
        'apimart config path' = @(
            , @('--json', 'Write one JSON object')
            , @('--help', 'Show this message and exit')
        )
    }
    # What each option that takes a value can have; an empty list stands for anything.
    $values = @{
        'apimart balance --api-key' = @()
        'apimart balance --api-key-file' = @()
        'apimart balance --profile' = @()
        'apimart balance -p' = @()
        'apimart balance --scope' = @('key', 'account', 'both')
        'apimart balance --base-url' = @()
        'apimart balance --timeout' = @()
        'apimart balance --output' = @('table', 'json', 'value')
        'apimart balance -o' = @('table', 'json', 'value')
        'apimart check --min' = @()
        'apimart check --max-used' = @()
        'apimart check --on-unlimited' = @('pass', 'fail')
        'apimart check --api-key' = @()
        'apimart check --api-key-file' = @()
        'apimart check --profile' = @()
        'apimart check -p' = @()
        'apimart check --scope' = @('key', 'account', 'both')
        'apimart check --base-url' = @()
        'apimart check --timeout' = @()
        'apimart check --output' = @('table', 'json', 'value')
        'apimart check -o' = @('table', 'json', 'value')
        'apimart sandbox --remain' = @()
        'apimart sandbox --used' = @()
        'apimart sandbox --account-remain' = @()
        'apimart sandbox --account-used' = @()
        'apimart sandbox --burn' = @()
        'apimart sandbox --latency' = @()
        'apimart sandbox --fault' = @('unauthorized', 'unknown-key', 'payment-required', 'rate-limit', 'server-error', 'timeout', 'malformed', 'html')
        'apimart sandbox --port' = @()
        'apimart config show --api-key' = @()
        'apimart config show --api-key-file' = @()
        'apimart config show --profile' = @()
        'apimart config show -p' = @()
        'apimart config show --scope' = @('key', 'account', 'both')
        'apimart config show --base-url' = @()
        'apimart config show --timeout' = @()
    }
    # Commands that are followed by another command line.
    $wrapping = @('apimart sandbox')

    $path = 'apimart'
    $option = $null
    foreach ($element in @($commandAst.CommandElements | Select-Object -Skip 1)) {
        if ($element.Extent.EndOffset -ge $cursorPosition) { break }
        $place = "$path $($element.Extent.Text)"
        if ($option) { $option = $null }
        elseif ($names.ContainsKey($place)) { $path = $place }
        elseif ($values.ContainsKey($place)) { $option = $place }
        elseif ($wrapping -contains $path -and $element.Extent.Text -notlike '-?*') { return }
        elseif ($wrapping -contains $path -and $element.Extent.Text -eq '--') { return }
    }

    # Without a result PowerShell completes file names.
    if ($option) {
        $values[$option] | Where-Object { $_.StartsWith($wordToComplete) } | ForEach-Object {
            [System.Management.Automation.CompletionResult]::new($_, $_, 'ParameterValue', $_)
        }
        return
    }
    foreach ($pair in $names[$path]) {
        $name, $description = $pair
        if ($name.StartsWith($wordToComplete)) {
            [System.Management.Automation.CompletionResult]::new($name, $name, 'ParameterValue', $description)
        }
    }
}
