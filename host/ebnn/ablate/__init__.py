"""Which methods of training help: a screening design over all of them, then the best ones alone and left out.

A study (``study``) has runs in a design (``design``), which processes train side by side (``runner``).
Their held-out accuracies become effects (``effects``) and, beside what the models cost on a device (``devices``), a
record (``record``), tables and a page (``tables``, ``document``).
"""
