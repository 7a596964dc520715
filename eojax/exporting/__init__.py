"""Trained runs for others: one file each, networks for PyTorch and ONNX, and weights from there."""
