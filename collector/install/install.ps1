# Installs the Watchdesk agent as a service of this machine (Windows 10 1803, Server 2019 or newer).
#
#     .\install.ps1 TOKEN [-Name NAME] [-Class server|desktop] [-Proxy URL]      (PowerShell, as administrator)
#
# TOKEN is one of `watchdesk enrol-token create`; it says where the collector is and which CA to trust there.
# The package goes to Program Files, its state to ProgramData; removing it in Settings retires the machine.
param(
    [Parameter(Mandatory = $true, Position = 0)][string]$Token,
    [string]$Name = "",
    [ValidateSet("", "server", "desktop")][string]$Class = "",
    [string]$Proxy = ""
)
$ErrorActionPreference = "Stop"
Set-StrictMode -Version 2

function Fail($text) { throw "install.ps1: $text" }

function Fetch($address, $file, $trust) {
    $words = @("-fsS", "--max-time", "300", "-o", $file) + $trust
    if ($Proxy) { $words += @("--proxy", $Proxy) } else { $words += @("--noproxy", "*") }
    & curl.exe @words $address
    if ($LASTEXITCODE -ne 0) { Fail "$address cannot be fetched (curl: $LASTEXITCODE)" }
}

function Main {
    $me = New-Object Security.Principal.WindowsPrincipal ([Security.Principal.WindowsIdentity]::GetCurrent())
    if (-not $me.IsInRole([Security.Principal.WindowsBuiltInRole]::Administrator)) { Fail "run it as administrator" }
    if (-not (Get-Command curl.exe -ErrorAction SilentlyContinue)) {
        Fail "this Windows has no curl.exe; install the package by hand: msiexec /i watchdesk-agent.msi TOKEN=..."
    }
    if ($Token -notmatch '^wde_[A-Za-z0-9_-]+$') { Fail "this is not a whole token; copy it again, from wde_ to its end" }
    $plain = $Token.Substring(4).Replace("-", "+").Replace("_", "/")
    $plain += "=" * ((4 - $plain.Length % 4) % 4)
    try { $said = [Text.Encoding]::UTF8.GetString([Convert]::FromBase64String($plain)) | ConvertFrom-Json }
    catch { Fail "this is not a whole token; copy it again, from wde_ to its end" }
    $url = $said.u.TrimEnd("/")

    $folder = Join-Path $env:TEMP ("watchdesk-" + [Guid]::NewGuid().ToString("N"))
    New-Item -ItemType Directory $folder | Out-Null
    try {
        $trust = @()
        if ($url.StartsWith("https:")) {
            $ca = Join-Path $folder "ca.pem"
            Fetch "$url/v1/ca" $ca @("-k")
            $certificate = New-Object Security.Cryptography.X509Certificates.X509Certificate2 $ca
            $hash = [Security.Cryptography.SHA256]::Create().ComputeHash($certificate.RawData)
            if ([BitConverter]::ToString($hash).Replace("-", "") -ne $said.f) {
                Fail "the CA of $url is not the one that the token names; nothing was installed"
            }
            # The provider's own CA has no revocation list that curl could ask for.
            $trust = @("--cacert", $ca, "--ssl-no-revoke")
        }
        Write-Output "Fetching the agent ..."
        $package = Join-Path $folder "watchdesk-agent.msi"
        Fetch "$url/v1/agent.msi" $package $trust
        $done = Start-Process msiexec.exe -Wait -PassThru -ArgumentList @("/i", "`"$package`"", "/qn", "/norestart")
        if ($done.ExitCode -notin @(0, 3010)) { Fail "msiexec ended with $($done.ExitCode)" }
        if (Test-Path (Join-Path $env:ProgramData "watchdesk-agent\token")) {
            Write-Output "This machine is enrolled already and stays who it is; the program is the new one."
            return
        }
        $words = @("enrol", "-")
        if ($Name) { $words += @("--name", $Name) }
        if ($Class) { $words += @("--class", $Class) }
        if ($Proxy) { $words += @("--proxy", $Proxy) }
        # By stdin, so that no list of processes shows the token; the service, which runs already, waits for this.
        $Token | & (Join-Path $env:ProgramFiles "Watchdesk Agent\watchdesk-agent.cmd") @words
        if ($LASTEXITCODE -ne 0) { Fail "the machine could not be enrolled; the agent is installed" }
    }
    finally { Remove-Item -Recurse -Force $folder }
}

# The last line, so that a download which broke off does nothing.
Main
