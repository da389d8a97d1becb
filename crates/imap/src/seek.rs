//! Finds one after the other in a sorted list: commands go over a mailbox in its order, and where one is, the next is near.

/// Where `wanted` is in `sorted`, which ascends by `key`, at `from` or behind it; `Err`: where it would be. Costs next to nothing
/// if it is the next, and a binary search if not.
pub(crate) fn seek<T>(
    sorted: &[T],
    from: usize,
    wanted: u32,
    key: impl Fn(&T) -> u32,
) -> Result<usize, usize> {
    let rest = sorted.get(from..).unwrap_or_default();
    match rest.first() {
        Some(next) if key(next) == wanted => Ok(from),
        Some(next) if key(next) < wanted => {
            let found = rest.binary_search_by_key(&wanted, key);
            found.map(|at| from + at).map_err(|at| from + at)
        }
        _ => Err(from.min(sorted.len())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_is_there_and_where_it_would_be() {
        let sorted = [2, 3, 5, 9];
        for (from, wanted, want) in [
            (0, 1, Err(0)),
            (0, 2, Ok(0)),
            (0, 5, Ok(2)),
            (1, 3, Ok(1)),
            (1, 4, Err(2)),
            (3, 10, Err(4)),
            (4, 10, Err(4)),
            (9, 10, Err(4)),
        ] {
            assert_eq!(seek(&sorted, from, wanted, |n| *n), want, "{wanted} from {from}");
        }
    }
}
