"""The zoo: trained models in ``firmware/models``, each with what reproduces it and with figures that a test checks.

A folder ``NAME`` holds ``config.toml`` (``ebnn.train.config``, with its data set), ``model.ebnn`` and
``metrics.json``; a ``signals.py`` beside them synthesizes the data. An installed wheel holds copies.

``metrics.json`` has the keys that training writes (accuracies are shares, 0 to 1), and these, which ``add`` measures:

| key | holds |
|---|---|
| ``model_bytes_without_labels``, ``arena_bytes``, ``model_sha256``, ``shapes`` | what follows from the file alone |
| ``seed`` | of the run, chosen among ``seeds`` by its held-out images |
| ``seeds`` | ``numbers``, and ``mean``, ``least`` and ``most`` of the runs' test accuracy (``train.seeds.spread``) |
| ``float_twin_test_accuracy`` | of the same architecture with float weights and feature maps, where that was trained |
| ``instructions`` | of one inference by core, counted on the input of the model's self-test |
| ``counted_with`` | ``engine`` (hash of its sources) and ``compiler`` |
"""
