//! The layout of the tier map: tiles whose areas are proportional to sizes.

/// A surface of the map.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tile {
    pub x: f64,
    pub y: f64,
    pub width: f64,
    pub height: f64,
}

/// Tiles whose areas are proportional to the sizes and that are nearly square, by Bruls, Huizing and van Wijk,
/// "Squarified Treemaps". The sizes must be sorted, the greatest first.
pub fn squarify(sizes: &[f64], within: Tile) -> Vec<Tile> {
    let all: f64 = sizes.iter().sum();
    let scale = if all > 0.0 { within.width * within.height / all } else { 0.0 };
    let areas: Vec<f64> = sizes.iter().map(|size| size * scale).collect();
    let (mut tiles, mut rest, mut from) = (Vec::with_capacity(areas.len()), within, 0);
    while from < areas.len() {
        let side = rest.width.min(rest.height);
        let mut to = from + 1;
        while to < areas.len() && worst(&areas[from..=to], side) <= worst(&areas[from..to], side) {
            to += 1;
        }
        rest = lay_row(&areas[from..to], rest, &mut tiles);
        from = to;
    }
    tiles
}

/// The worst ratio of the sides of a tile in a row that is laid along a side of that length.
fn worst(row: &[f64], side: f64) -> f64 {
    let sum: f64 = row.iter().sum();
    let (most, least) =
        row.iter().fold((0.0_f64, f64::INFINITY), |(most, least), area| (most.max(*area), least.min(*area)));
    let (side, sum) = (side * side, sum * sum);
    (side * most / sum).max(sum / (side * least))
}

fn lay_row(row: &[f64], rest: Tile, tiles: &mut Vec<Tile>) -> Tile {
    let sum: f64 = row.iter().sum();
    let is_column = rest.width >= rest.height;
    let side = rest.width.min(rest.height);
    let depth = if side > 0.0 { sum / side } else { 0.0 };
    let mut at = 0.0;
    for area in row {
        let length = if depth > 0.0 { area / depth } else { 0.0 };
        tiles.push(match is_column {
            true => Tile { x: rest.x, y: rest.y + at, width: depth, height: length },
            false => Tile { x: rest.x + at, y: rest.y, width: length, height: depth },
        });
        at += length;
    }
    match is_column {
        true => Tile { x: rest.x + depth, width: (rest.width - depth).max(0.0), ..rest },
        false => Tile { y: rest.y + depth, height: (rest.height - depth).max(0.0), ..rest },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_fill_the_map_and_are_as_large_as_they_should_be() {
        let within = Tile { x: 0.0, y: 0.0, width: 600.0, height: 400.0 };
        let sizes = [6.0, 6.0, 4.0, 3.0, 2.0, 2.0, 1.0];
        let tiles = squarify(&sizes, within);
        for (tile, size) in tiles.iter().zip(sizes) {
            assert!((tile.width * tile.height - size * 10_000.0).abs() < 1e-3, "{tile:?}");
            assert!(tile.x >= 0.0 && tile.y >= 0.0);
            assert!(tile.x + tile.width <= 600.001 && tile.y + tile.height <= 400.001, "{tile:?}");
            assert!(tile.width / tile.height < 3.5 && tile.height / tile.width < 3.5, "{tile:?}");
        }
        // The first tile of the paper's own figure.
        assert_eq!(tiles[0], Tile { x: 0.0, y: 0.0, width: 300.0, height: 200.0 });
        assert!(squarify(&[], within).is_empty());
    }
}
