//! The stylesheet and the scripts. Their names carry a hash of their text, so that browsers may cache them for ever.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};
use sha2::{Digest, Sha256};
use std::sync::Arc;

const STYLE: &str = include_str!("../assets/style.css");
const UPLOAD: &str = include_str!("../assets/upload.js");
const LIVE: &str = include_str!("../assets/live.js");
const PAGE: &str = include_str!("../assets/page.js");
const ICON: &str = include_str!("../assets/icon.svg");

/// A file that browsers load.
struct Asset {
    name: String,
    kind: &'static str,
    text: &'static str,
}

impl Asset {
    fn new(stem: &str, ending: &str, kind: &'static str, text: &'static str) -> Asset {
        let hash = hex::encode(Sha256::digest(text));
        Asset { name: format!("{stem}-{:.16}.{ending}", hash), kind, text }
    }

    fn path(&self) -> String {
        format!("{}/assets/{}", crate::ROOT, self.name)
    }
}

pub struct Assets {
    style: Asset,
    upload: Asset,
    live: Asset,
    page: Asset,
    icon: Asset,
}

impl Assets {
    pub fn new() -> Assets {
        const SCRIPT: &str = "text/javascript; charset=utf-8";
        Assets {
            style: Asset::new("style", "css", "text/css; charset=utf-8", STYLE),
            upload: Asset::new("upload", "js", SCRIPT, UPLOAD),
            live: Asset::new("live", "js", SCRIPT, LIVE),
            page: Asset::new("page", "js", SCRIPT, PAGE),
            icon: Asset::new("icon", "svg", "image/svg+xml", ICON),
        }
    }

    pub fn style(&self) -> String {
        self.style.path()
    }

    /// The path of the script that uploads with progress.
    pub fn upload(&self) -> String {
        self.upload.path()
    }

    /// The path of the script that brings a page's sections anew.
    pub fn live(&self) -> String {
        self.live.path()
    }

    /// The path of the script that every page has, which makes a few things easier.
    pub fn page(&self) -> String {
        self.page.path()
    }

    pub fn icon(&self) -> String {
        self.icon.path()
    }
}

/// `GET /assets/{name}`
pub async fn serve(State(console): State<Arc<crate::Console>>, Path(name): Path<String>) -> Response {
    let Assets { style, upload, live, page, icon } = &console.assets;
    let Some(asset) = [style, upload, live, page, icon].into_iter().find(|asset| asset.name == name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let mut response = Response::new(Body::from(asset.text));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(asset.kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable"));
    response
}
