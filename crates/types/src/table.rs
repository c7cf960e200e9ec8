//! A table of what comes and goes: a place for each, found by its key without searching.
//!
//! A key is a place and a generation: one that was given away anew is not mistaken for the one that had it
//! before. Who came one after the other lies side by side.

use std::marker::PhantomData;

/// Names an entry of a [`Table`], for as long as the entry lasts.
pub trait TableKey: Copy {
    fn from_number(number: u64) -> Self;
    fn number(self) -> u64;
}

#[derive(Debug)]
pub struct Table<K, V> {
    places: Vec<Place<V>>,
    free: Vec<u32>,
    keys: PhantomData<K>,
}

#[derive(Debug)]
struct Place<V> {
    generation: u32,
    value: Option<V>,
}

impl<K, V> Default for Table<K, V> {
    fn default() -> Self {
        Self { places: Vec::new(), free: Vec::new(), keys: PhantomData }
    }
}

impl<K: TableKey, V> Table<K, V> {
    pub fn insert(&mut self, value: V) -> K {
        let at = self.free.pop().unwrap_or_else(|| {
            self.places.push(Place { generation: 0, value: None });
            u32::try_from(self.places.len() - 1).unwrap_or(u32::MAX)
        });
        let generation = self.places.get_mut(index(at)).map_or(0, |place| {
            place.generation = place.generation.wrapping_add(1);
            place.value = Some(value);
            place.generation
        });
        key(generation, at)
    }

    pub fn get(&self, key: K) -> Option<&V> {
        let (generation, at) = parts(key);
        let place = self.places.get(index(at)).filter(|place| place.generation == generation)?;
        place.value.as_ref()
    }

    pub fn get_mut(&mut self, key: K) -> Option<&mut V> {
        self.place(key)?.value.as_mut()
    }

    pub fn remove(&mut self, key: K) -> Option<V> {
        let value = self.place(key)?.value.take()?;
        let (_, at) = parts(key);
        self.free.push(at);
        Some(value)
    }

    pub fn contains(&self, key: K) -> bool {
        self.get(key).is_some()
    }

    /// By their places.
    pub fn iter(&self) -> impl Iterator<Item = (K, &V)> {
        self.places.iter().zip(0..).filter_map(|(place, at)| {
            place.value.as_ref().map(|value| (key(place.generation, at), value))
        })
    }

    pub fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn place(&mut self, key: K) -> Option<&mut Place<V>> {
        let (generation, at) = parts(key);
        self.places.get_mut(index(at)).filter(|place| place.generation == generation)
    }
}

fn key<K: TableKey>(generation: u32, at: u32) -> K {
    K::from_number(u64::from(generation) << 32 | u64::from(at))
}

#[expect(clippy::cast_possible_truncation, reason = "the two halves")]
fn parts<K: TableKey>(key: K) -> (u32, u32) {
    let number = key.number();
    ((number >> 32) as u32, number as u32)
}

fn index(at: u32) -> usize {
    usize::try_from(at).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    impl TableKey for u64 {
        fn from_number(number: u64) -> Self {
            number
        }

        fn number(self) -> u64 {
            self
        }
    }

    proptest! {
        #[test]
        fn it_is_a_map_that_chooses_its_keys(steps in prop::collection::vec((any::<bool>(), 0..20_usize), 0..200)) {
            let (mut table, mut map, mut given) = (Table::default(), BTreeMap::new(), Vec::new());
            for (number, (is_insert, which)) in steps.into_iter().enumerate() {
                if is_insert {
                    let key: u64 = table.insert(number);
                    prop_assert!(!given.contains(&key), "a key is given once");
                    given.push(key);
                    map.insert(key, number);
                } else if let Some(key) = given.get(which) {
                    prop_assert_eq!(table.remove(*key), map.remove(key));
                }
                for key in &given {
                    prop_assert_eq!(table.get(*key), map.get(key));
                    prop_assert_eq!(table.get_mut(*key), map.get_mut(key));
                }
                let all: BTreeMap<_, _> = table.iter().map(|(key, value)| (key, *value)).collect();
                prop_assert_eq!(&all, &map);
                prop_assert_eq!((table.len(), table.is_empty()), (map.len(), map.is_empty()));
            }
        }
    }
}
