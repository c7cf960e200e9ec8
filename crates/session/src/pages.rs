//! What a sync is cut into: frames of about the size of a message.

/// About what an item takes in a frame, beside its data.
pub(crate) const OVERHEAD: usize = 128;

/// Pages with their sizes: at most `room`, unless an item alone is larger. There is one at least.
pub(crate) fn pack<T>(
    sized: impl IntoIterator<Item = (T, usize)>,
    room: usize,
) -> Vec<(Vec<T>, usize)> {
    let (mut pages, mut page, mut used) = (Vec::new(), Vec::new(), 0);
    for (item, size) in sized {
        if used + size > room && !page.is_empty() {
            pages.push((std::mem::take(&mut page), used));
            used = 0;
        }
        used += size;
        page.push(item);
    }
    pages.push((page, used));
    pages
}
