"""From an ONNX model to an integer program (docs/protocol.md section 1), and its reference run."""
