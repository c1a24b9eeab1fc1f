# Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Training of the models of `pquant.nn`: token files, learning rates, the loop, evaluation, logs.

The commands are `python -m pquant.prepare`, `pquant.train`, `pquant.eval` and `pquant.generate`.
"""
