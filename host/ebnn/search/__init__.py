"""Architectures for limits: drawn at random (``draw``), measured before training (``limits``), and the better third
of each rung trained longer in the next (``halving``), until the best one is left (``results``).

Successive halving: K. Jamieson and A. Talwalkar, "Non-stochastic best arm identification and hyperparameter
optimization", AISTATS 2016; L. Li et al., "Hyperband", JMLR 18 (2018), which has its factor of three. Here each rung
trains anew, with a schedule of its own that ends within the rung's epochs: a run that is stopped in the midst of a
longer schedule says little about its end. The held-out images decide; no test image is ever looked at.
"""
