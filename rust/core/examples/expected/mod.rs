//! What the examples expect of a receipt: whatever it claims. It is not the verdict that counts here.

use zktally_core::commit::model_id;
use zktally_core::receipt::Journal;
use zktally_core::statement::Expectations;

const POLICY: &str = r#"{"modes": ["fast", "hybrid", "strict"], "min_bits": 1, "max_delta_ppm": 1000000,
    "max_delta_step_ppm": null, "max_delta_op_ppm": null, "outputs_exact": false, "seed": "any",
    "start": "any", "max_steps": null, "max_epochs": null, "batch": null, "programs": null, "ranges": {}}"#;

/// What these claims meet.
pub fn of(claims: Journal) -> Expectations {
    Expectations {
        model_id: model_id(&claims.program_id, claims.weights_root),
        policy: serde_json::from_str(POLICY).expect("a policy"),
        audience: claims.audience,
        nonce: claims.nonce,
        initial_state: None,
        dataset_root: None,
        any_dataset: true,
        input_root: None,
    }
}
