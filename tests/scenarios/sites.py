"""The sites in which the stories happen."""

HOSTS = [f"h{number}" for number in range(8)]
DESKTOPS = [f"pc{number}" for number in range(40)]
SITE = "sites: {hq.acme: {people: 80, contact: {name: Wang Fang}, timezone: Asia/Shanghai}}\ndevices:\n"

# A switch with eight servers, one of which matters most.
OFFICE = (
    SITE
    + "  sw1.hq.acme: {class: network}\n"
    + "".join(f"  {host}.hq.acme: {{class: server, parent: sw1, port: Gi0/{host[1]}}}\n" for host in HOSTS[:7])
    + "  h7.hq.acme: {class: server, parent: sw1, port: Gi0/7, criticality: 1, services: [{name: Files, users: 42}]}\n"
)

# A firewall, a core switch, two access switches with three servers each.
TREE = (
    SITE
    + "  fw1.hq.acme: {class: network, role: firewall}\n"
    + "  core.hq.acme: {class: network, parent: fw1}\n"
    + "  acc1.hq.acme: {class: network, parent: core, port: Te1/1}\n"
    + "  acc2.hq.acme: {class: network, parent: core, port: Te1/2}\n"
    + "".join(f"  {host}.hq.acme: {{class: server, parent: acc1}}\n" for host in HOSTS[:3])
    + "".join(f"  {host}.hq.acme: {{class: server, parent: acc2}}\n" for host in HOSTS[3:6])
)

# Nothing is known of what hangs on what.
FLAT = SITE + "".join(f"  {host}.hq.acme: {{class: server}}\n" for host in HOSTS)

# Two racks, each with a UPS.
RACKS = (
    SITE
    + "  ups1.hq.acme: {class: ups, rack: R1}\n  ups2.hq.acme: {class: ups, rack: R2}\n"
    + "".join(f"  {host}.hq.acme: {{class: server, rack: R1}}\n" for host in HOSTS[:4])
    + "".join(f"  {host}.hq.acme: {{class: server, rack: R2}}\n" for host in HOSTS[4:])
)

# Forty desktops and the server they all use.
DESKS = (
    SITE
    + "  dc1.hq.acme: {class: server, services: [{name: DNS, users: 40}]}\n"
    + "".join(f"  {desk}.hq.acme: {{class: desktop}}\n" for desk in DESKTOPS)
)

# A site that reports through a relay.
BRANCH = (
    SITE.replace("hq", "branch")
    + "  relay1.branch.acme: {class: server, role: relay}\n"
    + "".join(f"  {host}.branch.acme: {{class: server}}\n" for host in HOSTS[:4])
)

ONE = SITE + "  h0.hq.acme: {class: server}\n"
LAPTOP = SITE + "  pc0.hq.acme: {class: desktop}\n"
TWO = ONE + "  h1.hq.acme: {class: server}\n"

# What a provider adds of his own.
OWN = """
groups:
  - name: own
    rules:
      - alert: AppCrash
        expr: app_crashes > 0
        for: 30s
        labels: {severity: warning}
        annotations: {summary: "{{ $labels.instance }}: a program crashes"}
      - alert: NameServerSilent
        expr: dns_up == 0
        labels: {severity: error}
        annotations: {summary: "{{ $labels.instance }}: the name server {{ $labels.server }} does not answer"}
      - alert: QuickDown
        expr: up == 0 and on(instance) quick == 1
        labels: {severity: critical}
        annotations: {summary: "{{ $labels.instance }} is silent", watchdesk_kind: unreachable}
      - alert: Level
        expr: level > 5
        labels: {severity: warning}
        annotations: {summary: "{{ $labels.instance }}: {{ $value }}"}
      - alert: Level
        expr: level > 9
        labels: {severity: critical}
        annotations: {summary: "{{ $labels.instance }}: {{ $value }}"}
      - alert: FillsUp
        expr: hours_left < 24
        labels: {severity: critical}
        annotations: {summary: "{{ $labels.instance }}: full in {{ $value }} hours", expected_in: hours}
      - alert: SiteNoise
        expr: noise > 0
        labels: {severity: warning}
        annotations: {summary: "noise at {{ $labels.site }}", watchdesk_scope: site}
      - alert: AppSlow
        expr: app_slow > 0
        labels: {severity: warning}
        annotations: {summary: "{{ $labels.instance }}: slow", depends_on: AppCrash}
      - alert: PrintStuck
        expr: print_stuck > 0
        for: 1m
        labels: {severity: warning}
        annotations: {summary: "{{ $labels.instance }}: the queue of {{ $labels.printer }} is stuck"}
      - alert: NoAddress
        expr: dhcp_failed > 0
        labels: {severity: error}
        annotations: {summary: "{{ $labels.instance }} gets no address"}
"""
