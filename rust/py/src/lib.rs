//! Thin Python bindings of the zktally core.
