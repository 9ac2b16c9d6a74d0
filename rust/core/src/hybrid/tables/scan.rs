//! Gates that look through a window or along an axis, position by position.

use super::bus;
use super::columns::Factor;
use super::parts::{carried, limb, pair};
use crate::stark::air::{Air, Builder, Expr};

columns! {
    /// What was taken so far; of a gather their sums.
    Taken { best, position, count }
}

table! {
    public {
        on,
        first_max,
        compare,
        larger,
        link,
        k,
        last_value,
        last_index,
        last_gather,
        value: Factor,
        index: Factor,
        y_at,
    }
    main {
        /// The value as read.
        v_value,
        taken,
        before: Taken,
        after: Taken,
        /// Limbs of the difference.
        d: [T; 2],
        /// The index as read.
        v_index,
        y,
    }
}

pub fn air() -> Air {
    let b = &mut Builder::new("scan", false);
    let Public {
        on,
        first_max,
        compare,
        larger,
        link,
        k,
        last_value,
        last_index,
        last_gather,
        value,
        index,
        y_at,
    } = PUBLIC.map(|c| b.public(c));
    let Main { v_value, taken, before, after, d, v_index, y } = MAIN.map(|c| b.main(c));
    let now = value.value(&v_value);
    b.boolean(&taken);
    b.zero(first_max * (1 - taken.clone()));
    // A maximum replaces what was; a gather adds the one that it takes.
    let replaced = |old: &Expr| larger.clone() * taken.clone() * old.clone();
    let Taken { best, position, count } = &before;
    b.equal(after.best.clone(), best.clone() + taken.clone() * now.clone() - replaced(best));
    b.equal(after.position.clone(), position.clone() + taken.clone() * k - replaced(position));
    b.equal(after.count.clone(), count.clone() + taken.clone());
    let more = taken.clone() * (now.clone() - best.clone() - 1);
    let less = (1 - taken.clone()) * (best.clone() - now);
    b.zero(compare * (more + less - pair(&d)));
    d.iter().for_each(|d| limb(b, &on, d));
    carried(b, &link, best, &after.best);
    carried(b, &link, position, &after.position);
    carried(b, &link, count, &after.count);
    b.zero(last_value.clone() * (y.clone() - after.best.clone()));
    b.zero(last_index.clone() * (y.clone() - after.position.clone()));
    b.zero(last_gather.clone() * (y.clone() - after.best));
    b.zero(last_gather.clone() * (after.count - 1));
    b.zero(last_gather.clone() * (after.position - index.value(&v_index)));
    value.read(b, &v_value);
    index.read(b, &v_index);
    b.lookup(bus::READ, last_value + last_index + last_gather, [y_at, y]);
    b.build()
}
