"""The error family. Every message names what is wrong, where, which value, and what to do."""

from __future__ import annotations


class HoldfastError(Exception):
    """Base of every error that Holdfast raises on purpose; its text is meant for the person at the keyboard."""


class SettingsError(HoldfastError):
    """A setting or a rules file (YAML) is missing, unknown or out of range."""


class StorageError(HoldfastError):
    """What a stage keeps cannot be written or read: the disk is full, or a file is not what was written."""


class SourceError(HoldfastError):
    """A landing file as a whole cannot be read or mapped onto the data contract."""


class BatchRefusedError(HoldfastError):
    """Landing batches were refused as a whole; the accepted ones of the same run are safely stored."""


class ArrivalError(HoldfastError):
    """Landing files are missing or out of the ordinary, and the rules say to stop; what did arrive is stored."""


class QualityError(HoldfastError):
    """Rows that passed the contract break a Great Expectations expectation; nothing of their shard was stored."""


class MissingDataError(HoldfastError):
    """A stage needs data that no earlier stage has written."""


class ImmatureLabelError(HoldfastError):
    """Labels were asked for before their horizon had fully elapsed."""


class LeakageError(HoldfastError):
    """Data at or after a cutoff would have reached the features of that cutoff."""


class FeatureStoreError(HoldfastError):
    """The feature store is unreachable, or lacks a view, a feature or a customer."""


class StoreUnavailableError(HoldfastError):
    """A database or server that keeps our data does not answer; nothing is half-done, the same may be tried again."""


class AccessError(HoldfastError):
    """An API key cannot be made or revoked as asked."""


class ModelError(HoldfastError):
    """A model cannot be trained, stored, verified or loaded."""


class CampaignError(HoldfastError):
    """A campaign's definition or state does not allow what was asked."""


class NobodyAssignedError(CampaignError):
    """A campaign run or imported campaign assigned nobody, so that there is no effect to read."""


class PrivacyError(HoldfastError):
    """A person's right cannot be served yet."""


class ChannelError(HoldfastError):
    """A message could not be handed to its channel; nothing is known to have been delivered."""


class TemporaryChannelError(ChannelError):
    """The channel refused a message for now (SMTP 4xx); the same message may be tried again later."""


class ChannelUnavailableError(TemporaryChannelError):
    """Nobody answers at the channel, or it turns every message away; whoever sends should stop and come back."""


class MessageRefusedError(ChannelError):
    """The channel refused this message for good (SMTP 5xx)."""


class AmbiguousDeliveryError(HoldfastError):
    """The channel broke off after the message was handed over; it may or may not have been delivered."""
