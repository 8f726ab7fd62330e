"""Training of the adapters: data, objectives, steps, progress and validation; `imo.trainers.imo_adapter` runs it."""
