"""Weights of other frameworks become files of eojax; nothing of them is executed or unpickled."""
