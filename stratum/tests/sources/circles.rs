//! No two modules of a crate may use each other, directly or by way of others: neither of them could be understood,
//! tested or replaced alone.
//!
//! The check looks at the top-level modules of each crate and at the paths that their files name (`crate::a::B`,
//! `super::a`, in a `use` or anywhere else). Files in the folder of one module may use each other. The check doesn't
//! see methods that a type has in another module, and paths that a macro writes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Circles that are allowed: the crate, its modules, and the reason.
const ALLOWED: [(&str, &[&str], &str); 0] = [];

/// Each module with the modules that it names.
type Edges = BTreeMap<String, BTreeSet<String>>;

#[test]
fn no_two_modules_use_each_other() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let crates = super::entries(&root.join("crates")).into_iter().chain([root.join("stratum")]);
    let mut found = Vec::new();
    for folder in crates {
        let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
        let edges = edges(&folder.join("src"));
        assert!(!edges.is_empty(), "{name} has no modules");
        for circle in circles(&edges) {
            let told = told(&edges, &circle);
            found.push((name.clone(), circle, told));
        }
    }
    for (name, modules, why) in ALLOWED {
        let before = found.len();
        found.retain(|(of, circle, _)| of != name || circle != modules);
        assert!(found.len() < before, "{name} has no circle any more of which it was said: {why}");
    }
    let told: Vec<String> = found.iter().map(|(name, _, told)| format!("{name}: {told}")).collect();
    assert!(told.is_empty(), "modules that need each other:\n{}", told.join("\n"));
}

/// A sentence about which module of a circle names which.
fn told(edges: &Edges, circle: &[String]) -> String {
    let needs = |module: &String| {
        let needed: Vec<&str> =
            edges[module].iter().filter(|other| circle.contains(other)).map(String::as_str).collect();
        format!("{module} names {}", needed.join(", "))
    };
    circle.iter().map(needs).collect::<Vec<_>>().join("; ")
}

/// The top-level modules of a crate, each with the others that it names.
fn edges(src: &Path) -> Edges {
    let mut edges = Edges::new();
    let files = super::rust_files(src);
    let module = |file: &Path| -> Vec<String> {
        let path = file.strip_prefix(src).unwrap().with_extension("");
        path.iter().map(|part| part.to_str().unwrap().to_owned()).collect()
    };
    let tops: BTreeSet<String> = files.iter().map(|file| module(file)[0].clone()).collect();
    for file in &files {
        let path = module(file);
        if matches!(path[0].as_str(), "lib" | "main") {
            continue;
        }
        let text = without_tests(&fs::read_to_string(file).unwrap());
        let named = named(&text, &path).into_iter().filter(|name| tops.contains(name) && *name != path[0]);
        edges.entry(path[0].clone()).or_default().extend(named);
    }
    edges
}

/// The code of a file, without comments and without code that is only for tests.
fn without_tests(text: &str) -> String {
    let mut code = String::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        match line.trim_start() {
            "#[cfg(test)]" if lines.peek() == Some(&"mod tests {") => break,
            // The item on the next line is for tests alone.
            "#[cfg(test)]" => drop(lines.next()),
            line if line.starts_with("//") => {}
            line => code.extend([line, "\n"]),
        }
    }
    code
}

/// The top-level modules that the code of a module names: the first names of the paths that begin with `crate`, or with
/// as many `super` as lead to the top.
fn named(code: &str, module: &[String]) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (at, _) in code.match_indices("crate::").filter(|(at, _)| begins(code, *at)) {
        names.extend(firsts(&code[at + "crate::".len()..]));
    }
    for (at, _) in code.match_indices("super::").filter(|(at, _)| begins(code, *at)) {
        let path = &code[at..];
        let rest = path.trim_start_matches("super::");
        if (path.len() - rest.len()) / "super::".len() == module.len() {
            names.extend(firsts(rest));
        }
    }
    names
}

/// Whether a path begins at this offset, rather than goes on there.
fn begins(code: &str, at: usize) -> bool {
    !code[..at].ends_with(|before: char| before.is_alphanumeric() || matches!(before, '_' | ':' | '$'))
}

/// The first name in the rest of a path, or the first names in a group in braces.
fn firsts(rest: &str) -> Vec<String> {
    let name = |text: &str| -> String {
        text.trim_start().chars().take_while(|char| char.is_alphanumeric() || *char == '_').collect()
    };
    let Some(group) = rest.strip_prefix('{') else { return vec![name(rest)] };
    let (mut depth, mut begins, mut names) = (0, 0, Vec::new());
    for (at, char) in group.char_indices() {
        match char {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                names.push(name(&group[begins..at]));
                begins = at + 1;
                if char == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    names
}

/// The largest groups of modules of which each reaches every other.
fn circles(edges: &Edges) -> Vec<Vec<String>> {
    let reached: BTreeMap<&String, BTreeSet<&String>> =
        edges.keys().map(|module| (module, reachable(edges, module))).collect();
    let mut circles = BTreeSet::new();
    for (module, others) in &reached {
        let back = |other: &&&String| reached.get(**other).is_some_and(|reached| reached.contains(*module));
        let circle: Vec<String> = others.iter().filter(back).map(|other| (**other).clone()).collect();
        if !circle.is_empty() {
            circles.insert(circle);
        }
    }
    circles.into_iter().collect()
}

/// The modules that a module reaches: those that it names, those that these name, and so on. It reaches itself only if
/// it is in a circle.
fn reachable<'a>(edges: &'a Edges, from: &str) -> BTreeSet<&'a String> {
    let mut reached = BTreeSet::new();
    let mut next: Vec<&String> = edges.get(from).into_iter().flatten().collect();
    while let Some(module) = next.pop() {
        if reached.insert(module) {
            next.extend(edges.get(module).into_iter().flatten());
        }
    }
    reached
}

#[test]
fn circles_are_found() {
    let module = |path: &str| -> Vec<String> { path.split("::").map(str::to_owned).collect() };
    let text = "use crate::a::B;\nuse crate::{c, d::{E, f}, g::H};\nuse super::i::J;\nuse super::super::k::L;\n\
        // crate::not::This\nfn m() { crate::n::o(mycrate::p, other::crate::q) }\n#[cfg(test)]\nuse crate::r::S;\n\
        #[cfg(test)]\nmod tests {\n    use crate::t::U;\n}\n";
    let names = |path| named(&without_tests(text), &module(path)).into_iter().collect::<Vec<_>>().join(" ");
    assert_eq!((names("x").as_str(), names("x::y").as_str()), ("a c d g i n", "a c d g k n"));
    let needs = [("a", "b"), ("b", "c"), ("c", "b"), ("c", "d"), ("e", "e2"), ("e2", "e3"), ("e3", "e")];
    let mut edges = Edges::new();
    for (one, other) in needs {
        edges.entry(one.to_owned()).or_default().insert(other.to_owned());
    }
    assert_eq!(
        circles(&edges),
        [vec!["b".to_owned(), "c".into()], vec!["e".into(), "e2".into(), "e3".into()]]
    );
}
