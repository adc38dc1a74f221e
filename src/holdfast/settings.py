"""Settings of one deployment, read once from the environment (prefix ``HOLDFAST_``) and nowhere else."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


def _checkout() -> Path:
    """The folder that holds ``dags/`` and ``feature_repo/``: the checkout this package runs from."""
    return Path(__file__).resolve().parents[2]


class Settings(BaseSettings):
    """Where things are and how to reach them. Business rules are not here: they live in YAML (``holdfast.rules``).

    Every path below ``home`` is derived from it, so that one variable moves all that Holdfast writes.
    """

    model_config = SettingsConfigDict(
        env_prefix="HOLDFAST_",
        frozen=True,
        extra="ignore",
        env_ignore_empty=True,  # docker-compose.yml passes a variable that is not set as an empty one
    )

    project: Path = Field(default_factory=_checkout, description="folder with dags/, feature_repo/, config/, sources/")
    home: Annotated[Path, Field(default_factory=lambda: _checkout() / "var", description="all that is written")]
    rules: Path | None = Field(default=None, description="business rules; default <project>/config/retention.yaml")
    campaigns: Path | None = Field(default=None, description="campaign files; default <project>/campaigns")
    channels: Path | None = Field(default=None, description="channels; default <project>/config/channels.yaml")
    operations_url: str | None = Field(default=None, description="SQLAlchemy URL; default SQLite below home")
    mlflow_url: str | None = Field(default=None, description="MLflow tracking and registry URI; default SQLite")
    feast_registry_url: str | None = Field(default=None, description="SQLAlchemy URL of Feast's registry")
    feast_online_url: str | None = Field(
        default=None, description="online store: redis://host:port/database, or sqlite:////path; default SQLite"
    )
    historical_join_rows: Annotated[int, Field(ge=0)] = Field(
        default=1_000_000, description="training sets of more rows are joined by us over the same files, not by Feast"
    )
    feature_engine: Literal["local", "spark"] = Field(default="local", description="what computes features")
    feature_workers: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="processes of the local engine at a time; default one a core"
    )
    spark_master: str = Field(default="local[*]", description="where the Spark engine runs")
    spark_parts: Annotated[int, Field(ge=1)] = Field(default=64, description="parts that Spark shares customers into")
    smtp_host: str = "127.0.0.1"
    smtp_port: Annotated[int, Field(ge=1, le=65535)] = 8025
    smtp_sender: str = "Holdfast <care@shop.example>"
    smtp_user: str | None = None
    smtp_password: SecretStr | None = None
    smtp_starttls: bool = False
    dkim_key: Path | None = Field(default=None, description="PEM file with the RSA key that signs mail (DKIM)")
    dkim_selector: str = "holdfast"
    public_url: str | None = Field(
        default=None, description="https address at which customers reach the preference page; default: this machine"
    )
    preferences_port: Annotated[int, Field(ge=1, le=65535)] = 8090
    lookup_port: Annotated[int, Field(ge=1, le=65535)] = 8091
    lookup_workers: Annotated[int, Field(ge=1, le=64)] = Field(default=1, description="processes of the look-up API")
    lookup_room: Annotated[int, Field(ge=1)] = Field(
        default=64, description="requests that one process of the look-up API works on at once; more are turned away"
    )
    webhook_secrets: dict[str, SecretStr] = Field(
        default_factory=dict,
        description="JSON object: webhook signing secrets (whsec_…) by the names that config/channels.yaml uses",
    )
    inbound_keys: dict[str, tuple[SecretStr, ...]] = Field(
        default_factory=dict,
        description="JSON object: lists of secrets (whsec_…) that inbound hooks are signed with, by hook, such as "
        "feedback/email or redemptions",
    )
    link_keys: tuple[SecretStr, ...] = Field(
        default=(),
        description="JSON list of keys that sign preference links, the newest last; default: one made on first use",
    )
    vault_keys: tuple[SecretStr, ...] = Field(
        default=(),
        description="JSON list of keys that wrap the vault's data keys, the newest last; default: one made on first "
        "use. `holdfast privacy rotate` makes the older ones unnecessary",
    )
    pseudonym_key: SecretStr | None = Field(
        default=None,
        description="key that customers' pseudonyms are made with, for good; default: one made on first use",
    )
    source_urls: dict[str, SecretStr] = Field(
        default_factory=dict,
        description="JSON object: SQLAlchemy URLs of the shop's databases by the names that source mappings use",
    )
    loopback: str = Field(default="127.0.0.1", description="address that local servers listen on")
    listen: str | None = Field(
        default=None,
        description="address that `holdfast preferences serve`, `lookup serve` and `mailbox` listen on, 0.0.0.0 in a "
        "container; default: loopback",
    )
    approval: Literal["ask", "auto"] = Field(
        default="ask",
        description="who lets a model that passed the gate become champion: a person, or nobody",
    )
    approval_hours: Annotated[int, Field(ge=1)] = Field(default=72, description="how long the question stays open")
    approval_default: Literal["Approve", "Reject"] = Field(
        default="Reject", description="the answer when nobody has answered in time"
    )
    airflow_port: Annotated[int, Field(ge=1, le=65535)] = 8080
    mlflow_port: Annotated[int, Field(ge=1, le=65535)] = 5000
    feast_port: Annotated[int, Field(ge=1, le=65535)] = 6566

    @property
    def listens_on(self) -> str:
        return self.listen or self.loopback

    @property
    def rules_file(self) -> Path:
        return self.rules or self.project / "config" / "retention.yaml"

    @property
    def channels_file(self) -> Path:
        return self.channels or self.project / "config" / "channels.yaml"

    @property
    def campaigns_dir(self) -> Path:
        return self.campaigns or self.project / "campaigns"

    @property
    def sources_dir(self) -> Path:
        return self.project / "sources"

    @property
    def landing(self) -> Path:
        """Where the shop's files arrive."""
        return self.home / "landing"

    @property
    def lake(self) -> Path:
        """Delta tables of accepted data, features and scores."""
        return self.home / "lake"

    @property
    def work(self) -> Path:
        """Intermediate files of one DAG run; safe to delete when nothing runs."""
        return self.home / "work"

    @property
    def studies(self) -> Path:
        """Searches for parameters, one journal a candidate; safe to delete when nothing runs."""
        return self.home / "studies"

    @property
    def mailbox(self) -> Path:
        """The Maildir that the local SMTP sink fills."""
        return self.home / "mail"

    @property
    def preferences_url(self) -> str:
        return self.public_url or f"http://{self.loopback}:{self.preferences_port}"

    @property
    def lookup_url(self) -> str:
        return f"http://{self.loopback}:{self.lookup_port}"

    @property
    def lookup_metrics(self) -> Path:
        """Files that several processes of the look-up API count in together."""
        return self.work / "lookup-metrics"

    @property
    def secrets(self) -> Path:
        """Keys made on first use where none is set; readable by this user only."""
        return self.home / "secrets"

    @property
    def exports(self) -> Path:
        """What customers asked to be told about themselves; for the person who answers them, to be deleted then."""
        return self.home / "exports"

    @property
    def reports(self) -> Path:
        return self.home / "reports"

    @property
    def logs(self) -> Path:
        return self.home / "logs"

    @property
    def quality_dir(self) -> Path:
        """Great Expectations' file context (suites are committed there)."""
        return self.project / "great_expectations"

    @property
    def quality_output(self) -> Path:
        """Validation results and Data Docs."""
        return self.home / "quality"

    @property
    def operations(self) -> str:
        return self.operations_url or f"sqlite:///{self.home / 'operations.db'}"

    @property
    def mlflow(self) -> str:
        return self.mlflow_url or f"sqlite:///{self.home / 'mlflow' / 'mlflow.db'}"

    @property
    def mlflow_pages(self) -> str:
        """Where people open MLflow: its server, or the page that `holdfast up` serves."""
        return self.mlflow if self.mlflow.startswith("http") else f"http://{self.loopback}:{self.mlflow_port}"

    @property
    def mlflow_artifacts(self) -> Path:
        return self.home / "mlflow" / "artifacts"

    @property
    def feast_repo(self) -> Path:
        return self.project / "feature_repo"

    @property
    def feast_registry(self) -> str:
        return self.feast_registry_url or f"sqlite:///{self.home / 'feast' / 'registry.db'}"

    @property
    def feast_online(self) -> str:
        return self.feast_online_url or f"sqlite:///{self.home.absolute() / 'feast' / 'online.db'}"

    @property
    def feast_offline(self) -> Path:
        """Feature tables: one folder a feature view, one Parquet file a cutoff."""
        return self.home / "feast" / "offline"

    @property
    def feature_state(self) -> Path:
        """What the feature engine keeps between runs; derived from the lake, safe to delete when nothing runs."""
        return self.home / "features"

    @property
    def airflow_home(self) -> Path:
        return self.home / "airflow"
