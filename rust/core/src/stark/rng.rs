//! Randomness for masks and salts: fresh from the operating system for every proof.

use p3_field::BasedVectorSpace;
use rand::rngs::{StdRng, SysRng};
use rand::{Rng, SeedableRng};

use super::field::K;
use crate::error::{Error, Result};
use crate::hash::{Elem, P};

/// A stream that is used for one proof and cannot be cloned.
pub struct Stream(StdRng);

impl Stream {
    /// A stream seeded by the operating system.
    ///
    /// # Errors
    /// `prove.randomness` where the system has none.
    pub fn fresh() -> Result<Self> {
        StdRng::try_from_rng(&mut SysRng)
            .map(Self)
            .map_err(|error| Error::new("prove.randomness", format!("no randomness: {error}")))
    }

    /// A stream of its own for another thread.
    pub fn fork(&mut self) -> Self {
        Self(StdRng::from_rng(&mut self.0))
    }

    pub fn element(&mut self) -> Elem {
        loop {
            let word = self.0.next_u32() & 0x7fff_ffff;
            if word < P {
                return Elem::new(word);
            }
        }
    }

    pub fn extension(&mut self) -> K {
        K::from_basis_coefficients_fn(|_| self.element())
    }

    pub fn salt(&mut self) -> [u8; 16] {
        let mut salt = [0; 16];
        self.0.fill_bytes(&mut salt);
        salt
    }
}
