"""To whom curves are told: MLflow, or nobody."""
