"""How the command `tfattn` builds, trains, measures and draws each system.

Each module but `common` has the same names, which `tfattn.runs.fit` and `tfattn.cli`
call:

* `BATCH_SIZE`, `EPOCHS` (default), `DATA` (names of data sets that it takes),
  `DEFAULT_DATA` (the default, and the embedded set that replaces it if need be)
* `add_arguments(parser)`: the options of `tfattn train` that are the system's own
* `build(dataset, arguments)`: the model; `training_arrays(dataset, model)`
* `compile_model(model, num_steps)`
* `epoch_measurements(model)`, `describe(row)`, `draw_epoch(model, run, epoch)`
* `measure(model, dataset)`: for metrics.json; `draw(model, dataset, run)`
* `evaluate(model, dataset, arguments)`: the long measurement of `tfattn evaluate`
* `sample(model, n, seed)`: images for `tfattn sample`
"""
