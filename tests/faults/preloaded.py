"""What every stage's process would import: loaded once by the server that they are forked from."""

import deltalake
import feast
import mlflow
import mlflow.pyfunc
import sklearn.linear_model

import great_expectations
from holdfast import wiring
from holdfast.adapters.online import sqlite_rows

__all__ = ["deltalake", "feast", "great_expectations", "mlflow", "sklearn", "sqlite_rows", "wiring"]
