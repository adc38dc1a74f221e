# The image of every service of ours in docker-compose.yml. Build it in the checkout: docker compose build
FROM python:3.11.14-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH
WORKDIR /src
COPY requirements-production.lock ./
RUN pip install --require-hashes --only-binary=:all: --no-binary=dkimpy \
    -r requirements-production.lock -c requirements-production.lock
COPY pyproject.toml README.md LICENSE ./
COPY src ./src
RUN pip install --no-deps --no-build-isolation .

FROM python:3.11.14-slim-bookworm
# LightGBM needs OpenMP. Debian keeps only the newest of a package, so that a pinned version would soon be gone.
# hadolint ignore=DL3008
RUN apt-get update && \
    apt-get install --yes --no-install-recommends libgomp1 && \
    rm -rf /var/lib/apt/lists/*
RUN useradd --system --uid 10001 --create-home --home-dir /home/holdfast holdfast && \
    install --directory --owner holdfast /var/lib/holdfast /var/lib/mlflow
COPY --from=build /opt/venv /opt/venv
WORKDIR /opt/holdfast
COPY dags ./dags
COPY plugins ./plugins
COPY feature_repo ./feature_repo
COPY great_expectations ./great_expectations
COPY config ./config
COPY sources ./sources
COPY campaigns ./campaigns
ENV PATH=/opt/venv/bin:$PATH HOLDFAST_PROJECT=/opt/holdfast HOLDFAST_HOME=/var/lib/holdfast PYTHONUNBUFFERED=1
USER 10001
VOLUME ["/var/lib/holdfast", "/var/lib/mlflow"]
# Every command runs with the variables that Airflow, Feast and MLflow read.
ENTRYPOINT ["holdfast", "exec"]
CMD ["holdfast", "doctor"]
