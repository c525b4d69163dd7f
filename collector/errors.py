"""What can go wrong in the collector.

CollectorError              says in one sentence what is wrong and what to do
├── ConfigError             the configuration file, with its line
├── StartError              a port is taken, a folder is not writable, the database is of another version …
├── LogError                the log could not take records: nothing of them was acknowledged
├── BackupError             a backup that cannot be made or restored
├── BacktestError           rules, samples or a register that cannot be read for a backtest
├── NotRunningError         no collector answers a command that asks it
├── RegisterError           a customer, site, device or token that cannot be made or found
└── Refusal                 a request that gets an HTTP status and a sentence
"""


class CollectorError(Exception):
    """The root; `str()` of it is one sentence for people."""


class ConfigError(CollectorError):
    """The configuration cannot be used; the message names file and line."""


class StartError(CollectorError):
    """The collector cannot start; the message says what to do."""


class LogError(CollectorError):
    """Records could not be made durable; none of them may be acknowledged."""


class RegisterError(CollectorError):
    """A customer, site, device or token that cannot be made or found."""


class BackupError(CollectorError):
    """A backup that cannot be made or restored."""


class BacktestError(CollectorError):
    """Rules, samples or a register that cannot be read for a backtest."""


class NotRunningError(CollectorError):
    """No collector answers on the data folder, or it has nothing to say; the message tells."""


class Refusal(CollectorError):
    """A request that is not taken.

    Attributes:
        status: the HTTP status.
        path: where in the request the fault is, such as `$.frames[2].rows`; empty if nowhere.
        need: schemas that must be sent first (status 409 only).
        retry_after: seconds after which the same request may be sent again (status 429 and 503 only).
        reason: a word for the metrics, such as `rate_limit`; empty where the status says enough.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        path: str = "",
        need: tuple[int, ...] = (),
        retry_after: int = 0,
        reason: str = "",
    ) -> None:
        super().__init__(message)
        self.status = status
        self.path = path
        self.need = need
        self.retry_after = retry_after
        self.reason = reason
