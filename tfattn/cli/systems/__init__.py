"""How the command `tfattn` builds, trains, measures and draws each system.

Each module but `common` has the same names, which `tfattn.training.runs.fit` and
`tfattn.cli.main` call:

* `BATCH_SIZE`, `EPOCHS` (default), `DATA` (names of the data sets that it takes, the
  default first), `PICTURES` (name of each picture that `draw` may write: what it shows)
* `add_arguments(parser)`: the options of `tfattn train` that are the system's own
* `build(dataset, arguments)`: the model; `training_arrays(dataset, model)`
* `compile_model(model, num_steps)`
* `epoch_measurements(model)`, `describe(row)`, `draw_epoch(model, run, epoch)`
* `measure(model, dataset)`: for metrics.json; `in_words(result)`: what the main number
  of metrics.json means, with values to compare it with; `draw(model, dataset, run)`
* `evaluate(model, dataset, arguments)`: the long measurement of `tfattn evaluate`
* `sample(model, n, seed)`: images for `tfattn sample`
"""
