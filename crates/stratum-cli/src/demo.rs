//! A bucket with sample objects for a first look: texts, a table, a page, pictures, a log, and a note in two versions.

use crate::connection::{Checksums, Connection, Endpoint, Keys};
use crate::machine::Machine;
use crate::s3::{Attributes, Client, Condition, S3Error};
use crate::trust::Trust;
use bytes::Bytes;

/// The bucket's name.
pub const DEMO_BUCKET: &str = "demo";

const WIDTH: u32 = 320;
const HEIGHT: u32 = 180;
const BMP_HEAD_BYTES: u32 = 54;

/// An object with its type and tags.
struct Sample {
    key: &'static str,
    content_type: &'static str,
    tags: &'static [(&'static str, &'static str)],
    body: Bytes,
}

/// Makes the bucket and fills it. Gives false, and changes nothing, if there is such a bucket already.
///
/// # Errors
/// Why the bucket couldn't be made or filled, in words.
pub async fn fill(
    machine: Machine,
    endpoint: &str,
    access_key: &str,
    secret_key: &str,
    region: &str,
) -> Result<bool, String> {
    let connection = Connection {
        endpoint: Endpoint::parse(endpoint).ok_or_else(|| format!("{endpoint} is no endpoint"))?,
        region: region.to_owned(),
        keys: Some(Keys {
            access_key: access_key.into(),
            secret_key: secret_key.into(),
            session_token: None,
        }),
        origin: "the server".into(),
        trust: Trust::Machine,
        checksums: Checksums::Sent,
    };
    let client = Client::new(connection, machine).map_err(|error| error.to_string())?;
    // Making a bucket that is there already may succeed, so that its answer doesn't tell whether it was there.
    if client.look_at_bucket(DEMO_BUCKET).await.is_ok() {
        return Ok(false);
    }
    client.make_bucket(DEMO_BUCKET, false).await.map_err(|error| error.to_string())?;
    put_all(&client).await.map_err(|error| error.to_string()).map(|()| true)
}

async fn put_all(client: &Client) -> Result<(), S3Error> {
    client.version_bucket(DEMO_BUCKET).await?;
    for Sample { key, content_type, tags, body } in samples() {
        let attributes = Attributes { content_type: Some(content_type.into()), ..Attributes::default() };
        client.put(DEMO_BUCKET, key, body, None, &attributes, Condition::None).await?;
        if !tags.is_empty() {
            let tags = tags.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            client.set_tags(DEMO_BUCKET, key, None, &tags).await?;
        }
    }
    Ok(())
}

fn samples() -> Vec<Sample> {
    let text = |key, content_type, body: &'static str| Sample {
        key,
        content_type,
        tags: &[],
        body: Bytes::from_static(body.as_bytes()),
    };
    vec![
        text("README.md", "text/markdown", README),
        text("notes/shopping.txt", "text/plain; charset=utf-8", "bread\nbutter\n"),
        // The second version of the same key.
        text("notes/shopping.txt", "text/plain; charset=utf-8", "bread\nbutter\ncoffee, and more of it\n"),
        text("pages/index.html", "text/html; charset=utf-8", PAGE),
        text("drawings/tiers.svg", "image/svg+xml", DRAWING),
        Sample {
            tags: &[("kind", "table"), ("year", "2026")],
            ..text("tables/planets.csv", "text/csv; charset=utf-8", PLANETS)
        },
        Sample {
            key: "pictures/dawn.bmp",
            content_type: "image/bmp",
            tags: &[("kind", "picture")],
            body: dawn(),
        },
        Sample { key: "logs/sensor.jsonl", content_type: "application/x-ndjson", tags: &[], body: log() },
    ]
}

/// A picture of a sky at dawn as a BMP, the simplest format to write.
fn dawn() -> Bytes {
    let pixels = WIDTH * HEIGHT * 3;
    let mut bmp = Vec::with_capacity((BMP_HEAD_BYTES + pixels) as usize);
    bmp.extend_from_slice(b"BM");
    for word in [
        BMP_HEAD_BYTES + pixels,
        0,
        BMP_HEAD_BYTES,
        40,
        WIDTH,
        HEIGHT,
        1 | 24 << 16,
        0,
        pixels,
        2835,
        2835,
        0,
        0,
    ] {
        bmp.extend_from_slice(&word.to_le_bytes());
    }
    // A BMP has its lowest row first.
    for row in 0..HEIGHT {
        for column in 0..WIDTH {
            let height = row * 255 / HEIGHT;
            let (x, y) = (i64::from(column) - i64::from(WIDTH / 2), i64::from(row) - 40);
            let glow = (160 - (x * x + y * y) / 60).clamp(0, 160) as u32;
            let light =
                |base: u32, fades: u32| (base + glow).saturating_sub(height * fades / 100).min(255) as u8;
            bmp.extend_from_slice(&[light(150, 30), light(120, 40), light(190, 70)]);
        }
    }
    bmp.into()
}

/// A log of a sensor, as a text that is longer than a screen.
fn log() -> Bytes {
    let line = |minute: u32| {
        let degrees = 180 + (minute * 37 % 41) + minute / 30;
        format!(
            "{{\"at\":\"2026-03-01T{:02}:{:02}:00Z\",\"sensor\":\"roof\",\"celsius\":{}.{}}}\n",
            minute / 60,
            minute % 60,
            degrees / 10,
            degrees % 10
        )
    };
    (0..24 * 60).map(line).collect::<String>().into()
}

const README: &str = "# A bucket to try things in

Everything here was made by `stratum server --demo`. Nothing depends on it: change it, delete it, or remove the bucket:

    stratum ls --recursive s3://demo
    stratum cat s3://demo/tables/planets.csv
    stratum ls --versions s3://demo/notes/shopping.txt
    stratum share s3://demo/pictures/dawn.bmp
    stratum rb --force s3://demo
";

const PLANETS: &str = "planet,distance_au,radius_km,moons
Mercury,0.39,2440,0
Venus,0.72,6052,0
Earth,1.00,6371,1
Mars,1.52,3390,2
Jupiter,5.20,69911,95
Saturn,9.58,58232,146
Uranus,19.2,25362,28
Neptune,30.1,24622,16
";

const PAGE: &str = "<!doctype html>
<html lang=\"en\">
<title>A page in a bucket</title>
<h1>A page in a bucket</h1>
<p>It is an object like any other, with the content type <code>text/html</code>.</p>
</html>
";

const DRAWING: &str = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 240 120\">
<rect x=\"10\" y=\"10\" width=\"60\" height=\"100\" rx=\"6\" fill=\"#d9480f\"/>
<rect x=\"90\" y=\"40\" width=\"60\" height=\"70\" rx=\"6\" fill=\"#e8a33d\"/>
<rect x=\"170\" y=\"70\" width=\"60\" height=\"40\" rx=\"6\" fill=\"#1971c2\"/>
<g font-family=\"sans-serif\" font-size=\"14\" text-anchor=\"middle\" fill=\"#fff\">
<text x=\"40\" y=\"100\">hot</text><text x=\"120\" y=\"100\">warm</text><text x=\"200\" y=\"100\">cold</text>
</g>
</svg>
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_samples_are_valid_and_small() {
        let bmp = dawn();
        assert_eq!(u32::from_le_bytes(bmp[2..6].try_into().unwrap()) as usize, bmp.len());
        assert_eq!((&bmp[..2], bmp[28]), (b"BM".as_slice(), 24));
        assert_eq!(WIDTH * 3 % 4, 0, "rows are whole words");
        assert!(
            String::from_utf8(log().to_vec())
                .unwrap()
                .lines()
                .all(|line| { serde_json::from_str::<serde_json::Value>(line).unwrap()["celsius"].is_f64() })
        );
        let total: usize = samples().iter().map(|sample| sample.body.len()).sum();
        assert!(total < 400 << 10, "{total}");
    }
}
