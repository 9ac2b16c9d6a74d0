//! The entries of activation tables.

use super::bus;
use crate::stark::air::{Air, Builder};

table! {
    public { on, table, x, y }
    main {
        /// How often the entry is used; rows that are not on hold no entry.
        times,
    }
}

pub fn air() -> Air {
    let b = &mut Builder::new("act", false);
    let Public { on, table, x, y } = PUBLIC.map(|c| b.public(c));
    let Main { times } = MAIN.map(|c| b.main(c));
    b.lookup(bus::ACT, -(on * times), [table, x, y]);
    b.build()
}
