//! The values of range classes.

use super::bus;
use crate::stark::air::{Air, Builder};

table! {
    public { on, class, x }
    main {
        /// How often the value is used; rows that are not on hold no value.
        times,
    }
}

pub fn air() -> Air {
    let b = &mut Builder::new("range", true);
    let Public { on, class, x } = PUBLIC.map(|c| b.public(c));
    let Main { times } = MAIN.map(|c| b.main(c));
    b.lookup(bus::RANGE, -(on * times), [class, x]);
    b.build()
}
