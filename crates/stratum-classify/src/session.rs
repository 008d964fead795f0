//! Runs a model: through the interface of ONNX Runtime (`ort`), with `tract`, which is pure Rust, behind it. No other
//! module names either.
//!
//! tract runs one input at a time in a session, on the calling thread. A build without it has no sessions, and no model.

#[cfg(feature = "onnx")]
pub use onnx::{BUILT_IN, Session};
#[cfg(not(feature = "onnx"))]
pub use without::{BUILT_IN, Session};

#[cfg(feature = "onnx")]
mod onnx {
    use crate::error::{Failed, ModelError};
    use ort::environment::Environment;
    use ort::value::Tensor;
    use std::sync::OnceLock;

    /// The model that is used unless the configuration names another.
    pub const BUILT_IN: Option<&[u8]> = Some(include_bytes!("../model/standard_v3_3.onnx"));

    /// One for the process.
    static ENVIRONMENT: OnceLock<Result<Environment, String>> = OnceLock::new();

    /// A loaded model.
    pub struct Session(ort::session::Session);

    impl Session {
        /// # Errors
        /// If the bytes are no model that can be run.
        pub fn of(model: &[u8]) -> Result<Session, ModelError> {
            let unfit = |error: &dyn std::fmt::Display| ModelError::Unfit(error.to_string());
            let environment = ENVIRONMENT.get_or_init(|| {
                // Must come before any other call: else ort looks for a shared library.
                ort::set_api(ort_tract::api());
                ort::init().with_telemetry(false).build().map_err(|error| error.to_string())
            });
            let environment = environment.as_ref().map_err(|error| unfit(error))?;
            let mut builder = ort::session::Session::builder(environment).map_err(|error| unfit(&error))?;
            let session = builder.commit_from_memory(model).map_err(|error| unfit(&error))?;
            Ok(Session(session))
        }

        /// The model's score for each label, 0 to 1.
        ///
        /// # Errors
        /// If the model doesn't take an input of this size, or gives no such output.
        pub fn run(&mut self, input: Vec<i32>) -> Result<Vec<f32>, Failed> {
            let failed = |error: ort::Error| Failed(error.to_string());
            let tensor = Tensor::from_array(([1, input.len()], input)).map_err(failed)?;
            let outputs = self.0.run(ort::inputs![tensor]).map_err(failed)?;
            let output = outputs.values().next().ok_or_else(|| Failed("the model gives nothing".into()))?;
            let (_, scores) = output.try_extract_tensor::<f32>().map_err(failed)?;
            Ok(scores.to_vec())
        }
    }
}

#[cfg(not(feature = "onnx"))]
mod without {
    use crate::error::{Failed, ModelError};

    /// It would be three megabytes that nothing runs.
    pub const BUILT_IN: Option<&[u8]> = None;

    /// There can be no session: nothing could run it.
    pub enum Session {}

    impl Session {
        pub fn of(_: &[u8]) -> Result<Session, ModelError> {
            Err(ModelError::NotBuilt)
        }

        pub fn run(&mut self, _: Vec<i32>) -> Result<Vec<f32>, Failed> {
            match *self {}
        }
    }
}
