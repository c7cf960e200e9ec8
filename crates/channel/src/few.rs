//! A map that holds one entry without an allocation, because most have one: a node of a tree has room
//! for eleven.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::mem;

#[derive(Debug)]
pub(crate) enum Few<K, V> {
    None,
    One(K, V),
    Many(BTreeMap<K, V>),
}

impl<K: Ord, V> Few<K, V> {
    pub(crate) fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        match self {
            Self::None => None,
            Self::One(known, value) => (known.borrow() == key).then_some(value),
            Self::Many(map) => map.get(key),
        }
    }

    pub(crate) fn get_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        match self {
            Self::None => None,
            Self::One(known, value) => ((*known).borrow() == key).then_some(value),
            Self::Many(map) => map.get_mut(key),
        }
    }

    pub(crate) fn insert(&mut self, key: K, value: V) {
        *self = match mem::replace(self, Self::None) {
            Self::One(known, before) if known != key => {
                Self::Many(BTreeMap::from([(known, before), (key, value)]))
            }
            Self::None | Self::One(..) => Self::One(key, value),
            Self::Many(mut map) => {
                map.insert(key, value);
                Self::Many(map)
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn few_or_many_it_is_a_map(steps in prop::collection::vec((0_u8..4, any::<u8>(), any::<bool>()), 0..8)) {
            let (mut few, mut map) = (Few::None, BTreeMap::<u8, u8>::new());
            for (key, value, is_insert) in steps {
                if is_insert {
                    few.insert(key, value);
                    map.insert(key, value);
                } else {
                    for known in [few.get_mut(&key), map.get_mut(&key)].into_iter().flatten() {
                        *known = known.wrapping_add(value);
                    }
                }
                for key in 0..4 {
                    prop_assert_eq!(few.get(&key), map.get(&key));
                }
            }
        }
    }
}
