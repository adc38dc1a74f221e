"""What only the stack of ``docker-compose.yml`` needs: its secrets, and who may do what in Airflow and MLflow."""
