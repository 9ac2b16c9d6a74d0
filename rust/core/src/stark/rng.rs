//! Randomness for masks and salts: fresh from the operating system for every proof.

use rand::rngs::{StdRng, SysRng};
use rand::{Rng, SeedableRng, TryRng};

use crate::error::{Error, Result};
use crate::hash::{Elem, P};
use p3_field::{PrimeCharacteristicRing, PrimeField32};

/// What randomness is for. Each is needed for a proof to hide its witness; tests take one away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Multiplicities that mask terminals.
    Masks,
    /// The last rows of main columns.
    MainRows,
    /// The last rows of auxiliary columns.
    AuxiliaryRows,
    /// What moves between the chunks of a quotient.
    Chunks,
    /// The polynomial that masks the batched codeword.
    Folding,
    /// The salts of rows.
    Salts,
}

/// A stream that is used for one proof and cannot be cloned.
pub struct Stream {
    rng: StdRng,
    /// Of tests: a generator for each source, or zeros.
    #[cfg(test)]
    scripted: Option<[Option<StdRng>; 6]>,
    /// Of tests: what a liar says instead of the values at ζ.
    #[cfg(test)]
    pub lie: Option<Lie>,
}

/// Changes the opened values of a statement at ζ.
#[cfg(test)]
pub type Lie = fn(&super::statement::Statement, super::field::K, &mut [Vec<super::field::K>]);

impl Stream {
    /// A stream seeded by the operating system.
    ///
    /// # Errors
    /// `prove.randomness` where the system has none.
    pub fn fresh() -> Result<Self> {
        Self::seeded_by(SysRng)
    }

    fn seeded_by(mut seeds: impl TryRng) -> Result<Self> {
        StdRng::try_from_rng(&mut seeds)
            .map(|rng| Self {
                rng,
                #[cfg(test)]
                scripted: None,
                #[cfg(test)]
                lie: None,
            })
            .map_err(|error| Error::new("prove.randomness", format!("no randomness: {error}")))
    }

    /// A stream with a seed for each source, in the order of [`Source`]; zeros where there is none.
    #[cfg(test)]
    pub fn scripted(seeds: [Option<u64>; 6]) -> Self {
        let scripted = Some(seeds.map(|seed| seed.map(StdRng::seed_from_u64)));
        Self { rng: StdRng::seed_from_u64(0), scripted, lie: None }
    }

    fn rng(&mut self, _source: Source) -> Option<&mut StdRng> {
        #[cfg(test)]
        if let Some(scripted) = &mut self.scripted {
            return scripted[_source as usize].as_mut();
        }
        Some(&mut self.rng)
    }

    /// A uniform element of F.
    pub fn element(&mut self, source: Source) -> Elem {
        let Some(rng) = self.rng(source) else { return Elem::ZERO };
        loop {
            let word = rng.next_u32() & 0x7fff_ffff;
            if word < P {
                return Elem::new(word);
            }
        }
    }

    /// A salt of 16 uniform bytes.
    pub fn salt(&mut self) -> [u8; 16] {
        let mut salt = [0; 16];
        if let Some(rng) = self.rng(Source::Salts) {
            rng.fill_bytes(&mut salt);
        }
        salt
    }

    /// A salt of four uniform elements.
    pub fn salt_of_elements(&mut self) -> [u8; 16] {
        let mut salt = [0; 16];
        for word in salt.as_chunks_mut::<4>().0 {
            *word = self.element(Source::Salts).as_canonical_u32().to_le_bytes();
        }
        salt
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    struct NoRandomness;

    impl TryRng for NoRandomness {
        type Error = io::Error;

        fn try_next_u32(&mut self) -> io::Result<u32> {
            Err(io::Error::other("the source is dry"))
        }
        fn try_next_u64(&mut self) -> io::Result<u64> {
            Err(io::Error::other("the source is dry"))
        }
        fn try_fill_bytes(&mut self, _: &mut [u8]) -> io::Result<()> {
            Err(io::Error::other("the source is dry"))
        }
    }

    #[test]
    fn without_randomness_there_is_no_stream() {
        let error = Stream::seeded_by(NoRandomness).err().unwrap();
        assert_eq!(error.code, "prove.randomness");
        assert_eq!(error.message, "no randomness: the source is dry");
    }
}
