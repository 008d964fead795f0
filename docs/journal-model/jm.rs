// Explicit-state model of Stratum's journal protocol (epochs, m+1 members). Breadth-first, exhaustive within bounds.
// Build: rustc -O -C target-cpu=native jm.rs    Run: ./jm key=value ...   (./jm help)
use std::collections::{HashMap, hash_map::Entry};
const N: usize = 6; const E: usize = 8; const G: usize = 8;
// cell bits
const MEM: u16 = 1; const HS: u16 = 1; const OS: u16 = 3; const CS: u16 = 5; const GV: u16 = 1 << 8; const SET: u16 = 1 << 9; const PREV: u16 = 1 << 10; // SET: in the epoch's set; PREV: in the last set known to be open (growrule 3)
fn h(c: u16) -> u16 { (c >> HS) & 3 } fn o(c: u16) -> u16 { (c >> OS) & 3 } fn cnt(c: u16) -> u16 { (c >> CS) & 7 }
fn seth(c: &mut u16, v: u16) { *c = (*c & !(3 << HS)) | (v << HS) } fn seto(c: &mut u16, v: u16) { *c = (*c & !(3 << OS)) | (v << OS) }
fn setc(c: &mut u16, v: u16) { *c = (*c & !(7 << CS)) | (v << CS) }
// drive status
const UP: u8 = 0; const ABS: u8 = 1; const DEAD: u8 = 2; const DEADF: u8 = 3; const ABSF: u8 = 4; // F: since the last ack
// run mode
const DOWN: u8 = 0; const OPENING: u8 = 1; const IDLE: u8 = 2; const FLIGHT: u8 = 3; const REOPEN: u8 = 4;
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Ep { num: u8, parent: u8, ne: u8, ents: [u8; 7] }
#[derive(Clone, PartialEq, Eq)]
struct St { mode: u8, cur: u8, phase: u8, pend: u8, le: u8, nep: u8, ng: u8, par: [u8; G], acked: u8, served: u8, gone: u8, ep: [Ep; E], st: [u8; N], c: [[u16; E]; N] }
#[derive(Clone, Copy, PartialEq)] enum Budget { S, A, R, U, D }
#[derive(Clone)]
struct Cfg { n: usize, n0: usize, m: usize, emax: usize, gmax: usize, phases: Vec<&'static str>, numopened: bool, voidun: bool, copy: u8, budget: Budget,
  pc: bool, setp: u8, growrule: u8, ackmiss: usize, quorum_slack: usize, ro: bool, whole: bool, drop: bool, dead: bool, openrule: u8, needopen: bool, maxst: usize, jointq: bool, writecap: bool, anyfail: bool, voidlit: bool,
  giveup: u8, forget: u8, heal: u8, drain: bool, revive: bool, replace: u8 }

fn key(s: &St, n: usize) -> Vec<u8> {
  let mut v = Vec::with_capacity(96);
  v.extend_from_slice(&[s.mode, s.cur, s.phase, s.pend, s.le, s.nep, s.ng, s.acked, s.served, s.gone]);
  v.extend_from_slice(&s.par);
  for e in 0..s.nep as usize { let p = &s.ep[e]; v.extend_from_slice(&[p.num, p.parent, p.ne]); v.extend_from_slice(&p.ents[..p.ne as usize]); }
  let mut cols: Vec<(u8, [u16; E])> = (0..n).map(|d| (s.st[d], s.c[d])).collect();
  cols.sort();
  for (a, b) in cols { v.push(a); for e in 0..s.nep as usize { v.extend_from_slice(&b[e].to_le_bytes()); } }
  v
}
fn fp(k: &[u8]) -> u128 { // two independent 64-bit mixes
  let (mut a, mut b) = (0x9E3779B97F4A7C15u64, 0xC2B2AE3D27D4EB4Fu64);
  for ch in k.chunks(8) { let mut x = [0u8; 8]; x[..ch.len()].copy_from_slice(ch); let w = u64::from_le_bytes(x) ^ ((ch.len() as u64) << 60);
    a = (a ^ w).wrapping_mul(0xff51afd7ed558ccd); a ^= a >> 32; a = a.wrapping_mul(0xc4ceb9fe1a85ec53); a ^= a >> 29;
    b = (b.rotate_left(23) ^ w.wrapping_mul(0x9FB21C651E98DF25)).wrapping_mul(0xD6E8FEB86659FD93); b ^= b >> 31; }
  ((a as u128) << 64) | b as u128
}
fn dead(x: u8) -> bool { x == DEAD || x == DEADF }
fn absent(x: u8) -> bool { x == ABS || x == ABSF }
fn head_of(s: &St, e: usize) -> u8 { let p = &s.ep[e]; if p.ne > 0 { p.ents[p.ne as usize - 1] } else { p.parent } }
fn idx(s: &St, mut x: u8) -> u8 { let mut i = 0; while x != 0 { i += 1; x = s.par[x as usize]; } i }
fn is_anc(s: &St, a: u8, mut x: u8) -> bool { loop { if x == a { return true; } if x == 0 { return false; } x = s.par[x as usize]; } }
/// Is every entry of the chain that ends with `head` on more than `m` of these drives?
fn is_whole(s: &St, f: &Cfg, head: u8, on: usize, slack: usize) -> bool {
  let mut x = head;
  while x != 0 { let copies = (0..f.n).filter(|&d| on >> d & 1 == 1 && (0..s.nep as usize).any(|g| h(s.c[d][g]) == 2 && (0..cnt(s.c[d][g]) as usize).any(|i| s.ep[g].ents[i] == x))).count();
    if copies + slack <= f.m { return false; } x = s.par[x as usize]; }
  true
}
/// Are the first entries of an epoch on more than `m` of these drives, in its own segment?
fn is_whole_of(s: &St, f: &Cfg, g: usize, want: usize, on: usize) -> bool { (0..f.n).filter(|&d| on >> d & 1 == 1 && h(s.c[d][g]) == 2 && cnt(s.c[d][g]) as usize >= want).count() > f.m }
fn name(d: usize) -> char { (b'A' + d as u8) as char }
fn names(mask: usize) -> String { let v: Vec<String> = (0..N).filter(|d| mask >> d & 1 == 1).map(|d| name(d).to_string()).collect(); format!("{{{}}}", v.join(",")) }

fn norm(s: &mut St, f: &Cfg) {
  for d in 0..f.n { if dead(s.st[d]) { for e in 0..s.nep as usize { s.c[d][e] &= SET | PREV; } } }
  for e in 0..s.nep as usize {
    let iscur = s.mode != DOWN && s.cur as usize == e;
    if iscur { continue; }
    let mut any = false; let mut mx = 0;
    for d in 0..f.n { let c = &mut s.c[d][e]; *c &= !MEM; if h(*c) == 0 { *c &= SET | PREV; } else { any = true; mx = mx.max(cnt(*c)); } }
    if !any && !(s.le as usize == e && f.setp != 0) { s.ep[e] = Ep::default(); for d in 0..f.n { s.c[d][e] = 0; } }
    else { let p = &mut s.ep[e]; for i in mx as usize..p.ne as usize { p.ents[i] = 0; } p.ne = p.ne.min(mx as u8); }
  }
  if s.mode == DOWN { s.cur = 0; s.phase = 0; s.pend = 0; }
  if f.setp == 0 { s.le = 0; }
}
struct Rec { e: usize, head: u8, hole: bool }
/// What a recovery that sees the drives in `up` would adopt; more than one where epochs tie.
fn recover(s: &St, f: &Cfg, up: usize) -> Vec<Rec> {
  let ne = s.nep as usize;
  let vis = |d: usize, e: usize| up >> d & 1 == 1 && h(s.c[d][e]) > 0;
  let mut best: Vec<usize> = vec![]; let mut bn = 0;
  for e in 0..ne {
    let opened = match f.openrule { 0 => (0..f.n).any(|d| vis(d, e) && o(s.c[d][e]) > 0),
      _ => (0..f.n).any(|d| vis(d, e)) }; // 1: a header alone counts
    if !opened { continue; }
    if best.is_empty() || s.ep[e].num > bn { best = vec![e]; bn = s.ep[e].num; } else if s.ep[e].num == bn { best.push(e); }
  }
  let isop = |e: usize| (0..f.n).any(|d| vis(d, e) && o(s.c[d][e]) > 0);
  let seen = |x: u8| (0..ne).any(|e| (!f.voidlit || isop(e) && !(0..ne).any(|g| s.ep[g].num > s.ep[e].num && isop(g) && idx(s, x) > idx(s, s.ep[g].parent))) && (0..f.n).any(|d| vis(d, e) && (0..cnt(s.c[d][e]) as usize).any(|i| s.ep[e].ents[i] == x)));
  best.into_iter().map(|e| {
    let mx = (0..f.n).filter(|&d| vis(d, e)).map(|d| cnt(s.c[d][e])).max().unwrap_or(0) as usize;
    let mut head = if mx > 0 { s.ep[e].ents[mx - 1] } else { s.ep[e].parent };
    if f.voidun { for g in 0..ne { if s.ep[g].num > s.ep[e].num && (0..f.n).any(|d| vis(d, g)) { while idx(s, head) > idx(s, s.ep[g].parent) { head = s.par[head as usize]; } } } }
    let mut x = head; let mut hole = false; while x != 0 { if !seen(x) { hole = true; } x = s.par[x as usize]; }
    Rec { e, head, hole }
  }).collect()
}
fn set_of(s: &St, f: &Cfg, e: usize) -> usize { if f.setp == 0 { return (1 << f.n) - 1; } (0..f.n).filter(|&d| s.c[d][e] & SET != 0).fold(0, |a, d| a | 1 << d) }
fn prev_of(s: &St, f: &Cfg, e: usize) -> usize { (0..f.n).filter(|&d| s.c[d][e] & PREV != 0).fold(0, |a, d| a | 1 << d) }
fn upmask(s: &St, f: &Cfg) -> usize { (0..f.n).filter(|&d| s.st[d] == UP).fold(0, |a, d| a | 1 << d) }

fn open_new(s: &St, f: &Cfg, head: u8, num: u8, members: usize, set: (usize, usize), all: bool, pend: u8) -> Option<St> {
  if s.nep as usize >= f.emax { return None; }
  let mut t = s.clone(); let e = t.nep as usize; t.nep += 1;
  let mut p = Ep { num, ..Default::default() };
  if head != 0 { match if all { 9 } else { f.copy } {
    0 => p.parent = head, // no copy
    1 => { p.parent = s.par[head as usize]; p.ents[0] = head; p.ne = 1; }
    _ => { let mut v = vec![]; let mut x = head; while x != 0 { v.push(x); x = s.par[x as usize]; } v.reverse(); for (i, x) in v.iter().enumerate() { p.ents[i] = *x; } p.ne = v.len() as u8; } } }
  t.ep[e] = p; t.mode = OPENING; t.cur = e as u8; t.phase = 0; t.pend = pend;
  for d in 0..f.n { t.c[d][e] = 0; if members >> d & 1 == 1 { t.c[d][e] |= MEM; } if f.setp != 0 && set.0 >> d & 1 == 1 { t.c[d][e] |= SET; } if f.growrule == 3 && set.1 >> d & 1 == 1 { t.c[d][e] |= PREV; } }
  norm(&mut t, f); Some(t)
}
fn subsets(mask: usize, k: usize) -> Vec<usize> { (0..1usize << N).filter(|x| x & !mask == 0 && x.count_ones() as usize == k).collect() }

enum Out { Next(String, St), Bad(String, String) }

/// Is a drive's part of the current phase durable?
fn phase_done(s: &St, f: &Cfg, d: usize) -> bool {
  let e = s.cur as usize; let c = s.c[d][e];
  f.phases[s.phase as usize].chars().all(|x| match x { 'H' => h(c) == 2, 'O' => o(c) == 2, _ => cnt(c) as u8 >= s.ep[e].ne && c & GV == 0 })
}
fn allowed(s: &St, f: &Cfg) -> bool {
  let down = (0..f.n).filter(|&d| s.st[d] != UP).count();
  match f.budget { Budget::S => down <= f.m,
    Budget::A => (0..f.n).filter(|&d| s.st[d] == DEADF || s.st[d] == ABSF).count() <= f.m,
    Budget::R => (0..s.nep as usize).all(|g| { // at most m lost or absent of the last open set, and of every newer set whose header is on a surviving drive
      let named = g == s.le as usize || (s.ep[g].num >= s.ep[s.le as usize].num && (0..f.n).any(|d| !dead(s.st[d]) && h(s.c[d][g]) > 0)) || (s.mode != DOWN && g == s.cur as usize);
      !named || ((set_of(s, f, g) & !upmask(s, f)).count_ones() as usize <= f.m && (prev_of(s, f, g) & !upmask(s, f)).count_ones() as usize <= f.m) }),
    Budget::D => { let alive = (0..f.n).filter(|&d| !dead(s.st[d])).fold(0, |a, d| a | 1 << d); // as R, but any number may be absent: a start with too few must refuse
      (0..s.nep as usize).all(|g| { let named = g == s.le as usize || (s.ep[g].num >= s.ep[s.le as usize].num && (0..f.n).any(|d| !dead(s.st[d]) && h(s.c[d][g]) > 0)) || (s.mode != DOWN && g == s.cur as usize);
        !named || ((set_of(s, f, g) & !alive).count_ones() as usize <= f.m && (prev_of(s, f, g) & !alive).count_ones() as usize <= f.m) }) }
    Budget::U => true }
}
/// Must recovery go on with every start that the budget allows?
fn lives(f: &Cfg) -> bool { !matches!(f.budget, Budget::U | Budget::D) }
fn ack(s: &mut St, f: &Cfg, head: u8) { s.acked = head; s.served = head; if f.budget == Budget::A { for d in 0..f.n { if s.st[d] == DEADF { s.st[d] = DEAD } if s.st[d] == ABSF { s.st[d] = ABS } } } }

/// The drives of the new set alone that may be members beside a pool that is too small (ADR 33): those that were put in the place of dead ones, which count as
/// replaced. None, if the drives of the set before that are no members and may come back could open an epoch. 2: a mutant that takes absent ones for dead.
fn successors(s: &St, f: &Cfg, up: usize, set: usize, prev: usize) -> usize {
  let pool = up & set & prev;
  if f.replace == 0 || pool.count_ones() as usize > f.m { return 0; }
  let others = (0..f.n).filter(|&d| (prev & !pool) >> d & 1 == 1 && !dead(s.st[d])).count();
  if f.replace != 2 && others + f.m >= prev.count_ones() as usize { return 0; }
  up & set & !prev
}
/// The members that an epoch may have: all of a pool that is too small, and successors. 3: a mutant that may pass the pool over.
fn members(f: &Cfg, pool: usize, more: usize) -> Vec<usize> {
  if more == 0 || f.replace == 3 { return subsets(pool | more, f.m + 1); }
  subsets(more, f.m + 1 - pool.count_ones() as usize).into_iter().map(|x| x | pool).collect()
}

/// The sets a new epoch may have, and from which drives its members come.
fn sets(s: &St, f: &Cfg, e: usize, up: usize) -> Vec<((usize, usize), usize, usize)> { // ((set, previous set), member pool, successors)
  if f.growrule == 3 && f.setp != 0 {
    let (st, pv) = (set_of(s, f, e), prev_of(s, f, e));
    if s.mode == DOWN || s.le as usize != e { // not known to be open on all its members: both sets bind
      if st != pv { return vec![((st, pv), up & st & pv, successors(s, f, up, st, pv))]; } }
    let ns = if f.setp == 1 { up } else { st | up };
    if f.drain && ns != st { return vec![((ns, st), up & st & ns, successors(s, f, up, ns, st)), ((st, st), up & st, 0)]; } // a drained one stays out, or is taken in again
    return vec![((ns, st), up & st & ns, successors(s, f, up, ns, st))];
  }
  let old = set_of(s, f, e); let full = (1 << f.n) - 1;
  let set = match f.setp { 0 => full, 1 => up, _ => old | up };
  let pool = match f.growrule { 0 => up, 1 => up & old,
    _ => { let mut p = up & old; // 2: also inside the set of every newer or equal header seen and of the epoch before
      for g in 0..s.nep as usize { if g != e && (0..f.n).any(|d| up >> d & 1 == 1 && h(s.c[d][g]) > 0) && s.ep[g].num + 1 >= s.ep[e].num { p &= set_of(s, f, g); } } p } };
  vec![((set, 0), pool & set, 0)]
}

fn succ(s: &St, f: &Cfg, out: &mut Vec<Out>) {
  let e = s.cur as usize; let n = f.n;
  if s.mode == DOWN {
    // start: any subset of the drives that are not dead is present
    let alive: usize = (0..n).filter(|&d| !dead(s.st[d])).fold(0, |a, d| a | 1 << d);
    let mut up = alive;
    loop { // all submasks
      let mut t = s.clone();
      for d in 0..n { if alive >> d & 1 == 1 { t.st[d] = if up >> d & 1 == 1 { UP } else if f.budget == Budget::A && s.st[d] == UP { ABSF } else { ABS } } }
      if allowed(&t, f) {
        let what = format!("start with {} present", names(up));
        let rs = recover(&t, f, up);
        if rs.is_empty() { if lives(f) { out.push(Out::Bad(what.clone(), "P3: no opened epoch is visible".into())); } }
        for r in rs {
          let set = set_of(&t, f, r.e);
          let mut missing = (set & !up).count_ones() as usize;
          if f.growrule == 3 && f.setp != 0 { missing = missing.max((prev_of(&t, f, r.e) & !up).count_ones() as usize); }
          if f.jointq { for g in 0..t.nep as usize { if t.ep[g].num >= t.ep[r.e].num && (0..n).any(|d| up >> d & 1 == 1 && h(t.c[d][g]) > 0) { missing = missing.max((set_of(&t, f, g) & !up).count_ones() as usize); } } }
          // A set of 2m can be short of members though no more than m are missing: such a start serves nothing.
          if f.replace > 0 && sets(&t, f, r.e, up).into_iter().all(|(_, pool, more)| members(f, pool, more).is_empty()) { continue; }
          if missing > f.m + f.quorum_slack { if lives(f) { out.push(Out::Bad(what.clone(), format!("P3: recovery refuses: {} of the recognised drives are missing", missing))); } continue; }
          if r.hole { if lives(f) || (f.setp == 0) { out.push(Out::Bad(what.clone(), format!("P1/P3: the chain of epoch n.{} (head g{}) has a hole: an earlier entry is on no present drive", t.ep[r.e].num, r.head))); } continue; }
          if !is_anc(&t, t.acked, r.head) { out.push(Out::Bad(what.clone(), format!("P1: acknowledged g{} is missing; the recovery adopts epoch n.{} with head g{}", t.acked, t.ep[r.e].num, r.head))); continue; }
          if !is_anc(&t, t.served, r.head) { out.push(Out::Bad(what.clone(), format!("P2: served (unacknowledged) g{} is missing; the recovery adopts head g{}", t.served, r.head))); continue; }
          if let Some(back) = (1..=t.ng).find(|&x| t.gone >> x & 1 == 1 && is_anc(&t, x, r.head)) { out.push(Out::Bad(what.clone(), format!("P4: g{} is back after an epoch without it was served; the recovery adopts head g{}", back, r.head))); continue; }
          let num = (0..t.nep as usize).filter(|&g| (0..n).any(|d| up >> d & 1 == 1 && h(t.c[d][g]) > 0 && (!f.numopened || o(t.c[d][g]) > 0))).map(|g| t.ep[g].num).max().unwrap_or(0) + 1;
          let mut could = false;
          for (ns, pool, more) in sets(&t, f, r.e, up) { for mem in members(f, pool, more) {
            could = true;
            if let Some(u) = open_new(&t, f, r.head, num, mem, ns, false, 0) {
              out.push(Out::Next(format!("{}: adopts epoch n.{}, head g{}; begins epoch n.{} on {}{}", what, t.ep[r.e].num, r.head, num, names(mem), if f.setp != 0 { format!(" set {}", names(ns.0)) } else { String::new() }), u)); }
          } }
          if !could {
            if f.ro { let mut u = t.clone(); u.served = r.head; u.mode = DOWN; norm(&mut u, f); for d in 0..n { if absent(u.st[d]) { u.st[d] = UP } } out.push(Out::Next(format!("{}: fewer than m+1 healthy, serves head g{} read-only; stops", what, r.head), u)); }
            else if f.needopen && lives(f) && set.count_ones() as usize >= 2 * f.m + 1 { out.push(Out::Bad(what.clone(), "P3: fewer than m+1 drives to open an epoch on".into())); }
            else if f.needopen && f.setp == 0 { out.push(Out::Bad(what.clone(), "P3: fewer than m+1 drives to open an epoch on".into())); }
          }
        }
      }
      if up == 0 { break; } up = (up - 1) & alive;
    }
    if f.dead { for d in 0..n { if !dead(s.st[d]) { let mut t = s.clone(); t.st[d] = if f.budget == Budget::A { DEADF } else { DEAD }; for x in 0..n { if f.budget != Budget::A && absent(t.st[x]) { t.st[x] = UP } }
      if allowed(&t, f) { norm(&mut t, f); out.push(Out::Next(format!("{} dies for good (while stopped)", name(d)), t)); } } } }
    return;
  }
  // crash
  let reset = |t: &mut St| { t.mode = DOWN; for d in 0..n { if t.st[d] == ABSF { t.st[d] = UP } if f.budget != Budget::A && t.st[d] == ABS { t.st[d] = UP } } };
  { // power loss: volatile items go, or (leftovers of earlier epochs) independently stay
    let mut left: Vec<(usize, usize, u8)> = vec![];
    if f.pc { for d in 0..n { for g in 0..s.nep as usize { let c = s.c[d][g]; if h(c) == 1 { left.push((d, g, 0)) } if o(c) == 1 { left.push((d, g, 1)) } if c & GV != 0 { left.push((d, g, 2)) } } } }
    for k in 0..1usize << left.len() {
      let mut t = s.clone();
      for (i, &(d, g, w)) in left.iter().enumerate() { let keep = k >> i & 1 == 1; let c = &mut t.c[d][g];
        match w { 0 => seth(c, if keep { 2 } else { 0 }), 1 => seto(c, if keep { 2 } else { 0 }), _ => { *c &= !GV; if !keep { let x = cnt(*c) - 1; setc(c, x) } } } }
      reset(&mut t); norm(&mut t, f);
      out.push(Out::Next(if left.is_empty() { "crash".into() } else { format!("power loss (of {} unsynced items some stay)", left.len()) }, t));
    }
    if !left.is_empty() { let mut t = s.clone(); reset(&mut t); norm(&mut t, f); out.push(Out::Next("process killed (unsynced writes stay readable)".into(), t)); }
  }
  // a drive fails
  for d in 0..n { if s.st[d] == UP { for kind in 0..2 {
    if kind == 1 && !f.dead { continue; }
    let mut t = s.clone(); t.st[d] = match (kind, f.budget == Budget::A) { (0, true) => ABSF, (0, false) => ABS, (1, true) => DEADF, _ => DEAD };
    if !allowed(&t, f) { continue; }
    let member = s.c[d][e] & MEM != 0 || (f.anyfail && s.c[d][e] & SET != 0);
    let mut txt = format!("{} {}", name(d), if kind == 0 { "fails or times out (content stays, stale)" } else { "dies for good" });
    if member && s.mode != REOPEN { if s.mode == FLIGHT { t.pend = 1; } else if s.mode != OPENING { t.pend = 0; } t.mode = REOPEN; t.phase = 0; txt += "; a member: the run needs a new epoch"; }
    norm(&mut t, f); out.push(Out::Next(txt, t));
  } } }
  if f.revive { for d in 0..n { if absent(s.st[d]) { let mut t = s.clone(); t.st[d] = UP; norm(&mut t, f); out.push(Out::Next(format!("{} is back while the run goes on", name(d)), t)); } } }
  let up = upmask(s, f);
  match s.mode {
    REOPEN => {
      let head = head_of(s, e); let le = if f.setp == 0 || f.growrule == 3 { e } else { s.le as usize };
      for (ns, mut pool, more) in sets(s, f, le, up) { if f.growrule == 2 { pool &= set_of(s, f, e); }
        if f.writecap && (set_of(s, f, le) & !up).count_ones() as usize > f.m { continue; }
        for mem in members(f, pool, more) {
        let num = s.ep[e].num + 1;
        if let Some(u) = open_new(s, f, head, num, mem, ns, false, s.pend) { out.push(Out::Next(format!("the run begins epoch n.{} on {}{} with a copy of g{}", num, names(mem), if f.setp != 0 { format!(" set {}", names(ns.0)) } else { String::new() }, head), u)); }
        // Nowhere was space for an epoch with the group in flight, and it was answered `unknown`; now one opens without it.
        if f.giveup > 0 && s.pend == 1 { let before = s.par[head as usize]; let num = if f.giveup == 2 { s.ep[e].num } else { num };
          if let Some(u) = open_new(s, f, before, num, mem, ns, false, 0) { out.push(Out::Next(format!("the run gives g{} up, and begins epoch n.{} on {}{} with a copy of g{}", head, num, names(mem), if f.setp != 0 { format!(" set {}", names(ns.0)) } else { String::new() }, before), u)); } }
      } }
    }
    OPENING => {
      if f.giveup > 0 { let mut t = s.clone(); t.mode = REOPEN; t.phase = 0; norm(&mut t, f); out.push(Out::Next(format!("a member has no space: epoch n.{} is abandoned", s.ep[e].num), t)); }
      let members: Vec<usize> = (0..n).filter(|&d| s.c[d][e] & MEM != 0).collect();
      for &d in &members { for x in f.phases[s.phase as usize].chars() {
        let c = s.c[d][e];
        let (cur, nm): (u16, String) = match x { 'H' => (h(c), "header".into()), 'O' => (o(c), "`opened`".into()), _ => (if cnt(c) as u8 >= s.ep[e].ne { if c & GV != 0 { 1 } else { 2 } } else { 0 }, if s.ep[e].ne > 0 { format!("copy of g{}", head_of(s, e)) } else { "copy".into() }) };
        for v in (if f.pc { 1 } else { 2 })..3u16 { if v <= cur { continue; }
          let mut t = s.clone(); { let c = &mut t.c[d][e];
          match x { 'H' => seth(c, v), 'O' => seto(c, v), _ => { setc(c, s.ep[e].ne as u16); if v == 1 { *c |= GV } else { *c &= !GV } } } }
          let mut txt = format!("epoch n.{}: {} {} on {}", s.ep[e].num, nm, if v == 2 { "durable" } else { "written, unsynced" }, name(d));
          if members.iter().all(|&q| phase_done(&t, f, q)) {
            if t.phase as usize + 1 < f.phases.len() { t.phase += 1; while (t.phase as usize) + 1 < f.phases.len() && members.iter().all(|&q| phase_done(&t, f, q)) { t.phase += 1; }
              if members.iter().all(|&q| phase_done(&t, f, q)) { finish(&mut t, f, &mut txt); } }
            else { finish(&mut t, f, &mut txt); }
          }
          norm(&mut t, f); out.push(Out::Next(txt, t));
        }
      } }
    }
    IDLE => {
      if (s.ng as usize) < f.gmax && (s.ep[e].ne as usize) < 6 { let mut t = s.clone(); t.ng += 1; let g = t.ng; t.par[g as usize] = head_of(s, e); let k = t.ep[e].ne as usize; t.ep[e].ents[k] = g; t.ep[e].ne += 1; t.mode = FLIGHT;
        norm(&mut t, f); out.push(Out::Next(format!("g{} is sent to the members of epoch n.{}", g, s.ep[e].num), t)); }
      if f.growrule == 3 && f.setp != 0 && prev_of(s, f, e) != set_of(s, f, e) { // the set is open on all members: say so in a next epoch
        let st = set_of(s, f, e);
        for mem in subsets(up & st, f.m + 1) { let num = s.ep[e].num + 1; if let Some(u) = open_new(s, f, head_of(s, e), num, mem, (st, st), false, 0) { out.push(Out::Next(format!("settles: begins epoch n.{} on {} set {} previous set the same", num, names(mem), names(st)), u)); } } }
      if f.whole && up != set_of(s, f, e) && (f.growrule != 3 || prev_of(s, f, e) == set_of(s, f, e)) { // made whole: everything on m+1 healthy drives, the missing drives leave the set
        let old = set_of(s, f, e);
        for mem in subsets(up & old, f.m + 1) { let num = s.ep[e].num + 1; if let Some(u) = open_new(s, f, head_of(s, e), num, mem, (up, old), true, 0) { out.push(Out::Next(format!("made whole: begins epoch n.{} on {} with a copy of everything, set {}", num, names(mem), names(up)), u)); } } }
      if f.heal > 0 { // a segment of the chain is brought to one more drive
        let head = head_of(s, e);
        for g in (0..s.nep as usize).filter(|&g| g != e) {
          let want = (0..s.ep[g].ne as usize).take_while(|&i| is_anc(s, s.ep[g].ents[i], head)).count();
          if want == 0 || is_whole_of(s, f, g, want, up) { continue; }
          for d in (0..n).filter(|&d| up >> d & 1 == 1 && (cnt(s.c[d][g]) as usize) < want) {
            let mut t = s.clone(); let opened = (0..n).any(|q| up >> q & 1 == 1 && o(s.c[q][g]) == 2); let c = &mut t.c[d][g];
            seth(c, 2); if opened { seto(c, 2); } setc(c, want as u16); *c &= !GV;
            norm(&mut t, f); out.push(Out::Next(format!("heal: the segment of epoch n.{} is copied to {}", s.ep[g].num, name(d)), t)); } } }
      if f.forget > 0 && prev_of(s, f, e) == set_of(s, f, e) { // lost drives leave; as many stay named as a set that can do without m of them takes
        let set = set_of(s, f, e); let lost = set & !up;
        let leaving: Vec<usize> = if f.drain { (0..1usize << n).filter(|d| d & !(set & up) == 0 && d.count_ones() <= 1).collect() } else { vec![0] };
        for drained in leaving {
          let stay = set & up & !drained;
          if stay.count_ones() as usize <= f.m || !is_whole(s, f, head_of(s, e), stay, if f.forget == 3 { 1 } else { 0 }) { continue; }
          // Those that were replaced never come back, and all leave.
          let gone = if f.replace > 0 { (0..n).filter(|&d| lost >> d & 1 == 1 && dead(s.st[d])).fold(0, |a, d| a | 1 << d) } else { 0 };
          let (lost, drained) = (lost & !gone, drained | gone);
          let may = ((set & !drained).count_ones() as usize).saturating_sub(2 * f.m + 1);
          let go = if f.forget == 2 { lost.count_ones() as usize } else { may.min(lost.count_ones() as usize) };
          for out_ in subsets(lost, go) { let ns = set & !drained & !out_; if ns == set { continue; }
            for mem in subsets(stay & ns, f.m + 1) { let num = s.ep[e].num + 1; if let Some(u) = open_new(s, f, head_of(s, e), num, mem, (ns, set), false, 0) { out.push(Out::Next(format!("{} leave: begins epoch n.{} on {} set {} previous set {}", names(set & !ns), num, names(mem), names(ns), names(set)), u)); } } } } }
      if f.drop && s.ep[e].parent == 0 && s.ep[e].ne as u8 == idx(s, head_of(s, e)) { let mut t = s.clone(); for d in 0..n { if t.st[d] == UP { for g in 0..t.nep as usize { if g != e { t.c[d][g] &= SET | PREV; } } } }
        norm(&mut t, f); if t != *s { out.push(Out::Next("older epochs' segments are recycled on the present drives".into(), t)); } }
    }
    FLIGHT => {
      let members: Vec<usize> = (0..n).filter(|&d| s.c[d][e] & MEM != 0).collect(); let want = s.ep[e].ne as u16;
      for &d in &members { let c = s.c[d][e]; let cur = if cnt(c) >= want { if c & GV != 0 { 1 } else { 2 } } else { 0 };
        for v in (if f.pc { 1 } else { 2 })..3u16 { if v <= cur { continue; }
          let mut t = s.clone(); { let c = &mut t.c[d][e]; setc(c, want); if v == 1 { *c |= GV } else { *c &= !GV } }
          let g = head_of(s, e); let mut txt = format!("g{} {} on {}", g, if v == 2 { "durable" } else { "written, unsynced" }, name(d));
          let got = members.iter().filter(|&&q| cnt(t.c[q][e]) >= want && t.c[q][e] & GV == 0).count();
          if got + f.ackmiss >= members.len() { ack(&mut t, f, g); t.mode = IDLE; txt += &format!("; g{} ACKNOWLEDGED", g); }
          norm(&mut t, f); out.push(Out::Next(txt, t));
        } }
    }
    _ => {}
  }
}
fn finish(t: &mut St, f: &Cfg, txt: &mut String) {
  let e = t.cur as usize; let head = head_of(t, e); t.mode = IDLE; t.phase = 0; t.le = e as u8;
  *txt += &format!("; the epoch is open on all members, SERVES head g{}", head);
  if t.pend == 1 { ack(t, f, head); *txt += &format!("; g{} ACKNOWLEDGED", head); t.pend = 0; }
  t.served = head;
  if f.giveup > 0 { t.gone = (1..=t.ng).filter(|&x| !is_anc(t, x, head)).fold(0, |a, x| a | 1 << x); }
}
fn main() {
  let mut f = Cfg { n: 4, n0: 0, m: 1, emax: 4, gmax: 3, phases: vec!["HC", "O"], numopened: false, voidun: false, copy: 1, budget: Budget::S, pc: false, setp: 0, growrule: 1, ackmiss: 0, quorum_slack: 0, ro: false, whole: false, drop: false, dead: true, openrule: 0, needopen: true, maxst: 200_000_000, jointq: false, writecap: false, anyfail: false, voidlit: false, giveup: 0, forget: 0, heal: 0, drain: false, revive: false, replace: 0 };
  let mut label = String::new();
  for a in std::env::args().skip(1) { let (k, v) = a.split_once('=').unwrap_or((&a, "")); let u = || v.parse::<usize>().unwrap();
    match k { "n" => f.n = u(), "n0" => f.n0 = u(), "m" => f.m = u(), "e" => f.emax = u() + 1, "g" => f.gmax = u(),
      "open" => f.phases = match v { "HO-C" => vec!["HO", "C"], "HOC" => vec!["HOC"], "H-O-C" => vec!["H", "O", "C"], "HC-O" => vec!["HC", "O"], "H-C-O" => vec!["H", "C", "O"], _ => panic!() },
      "num" => f.numopened = v == "opened", "void" => { f.voidun = v == "any"; f.voidlit = v == "lit" }, "anyfail" => f.anyfail = u() == 1, "copy" => f.copy = match v { "none" => 0, "last" => 1, _ => 9 },
      "budget" => f.budget = match v { "S" => Budget::S, "A" => Budget::A, "R" => Budget::R, "D" => Budget::D, _ => Budget::U }, "pc" => f.pc = u() == 1,
      "set" => f.setp = match v { "fixed" => 0, "healthy" => 1, _ => 2 }, "grow" => f.growrule = u() as u8, "ackmiss" => f.ackmiss = u(), "slack" => f.quorum_slack = u(), "ro" => f.ro = u() == 1,
      "whole" => f.whole = u() == 1, "drop" => f.drop = u() == 1, "dead" => f.dead = u() == 1, "openrule" => f.openrule = u() as u8, "needopen" => f.needopen = u() == 1, "max" => f.maxst = u(), "jointq" => f.jointq = u() == 1, "writecap" => f.writecap = u() == 1, "label" => label = v.into(),
      "giveup" => f.giveup = u() as u8, "forget" => f.forget = u() as u8, "heal" => f.heal = u() as u8, "drain" => f.drain = u() == 1, "revive" => f.revive = u() == 1, "replace" => f.replace = u() as u8,
      _ => { println!("unknown {}", k); return; } } }
  if f.n0 == 0 { f.n0 = f.n; }
  let z = Ep::default();
  let mut s0 = St { mode: DOWN, cur: 0, phase: 0, pend: 0, le: 0, nep: 1, ng: 0, par: [0; G], acked: 0, served: 0, gone: 0, ep: [z; E], st: [UP; N], c: [[0; E]; N] };
  s0.ep[0].num = 1; for d in 0..f.n0 { seth(&mut s0.c[d][0], 2); seto(&mut s0.c[d][0], 2); if f.setp != 0 { s0.c[d][0] |= SET; if f.growrule == 3 { s0.c[d][0] |= PREV; } } }
  let t0 = std::time::Instant::now();
  let mut ids: HashMap<u128, u32> = HashMap::new(); let mut fps: Vec<u128> = vec![]; let mut par: Vec<u32> = vec![];
  let k0 = fp(&key(&s0, f.n)); ids.insert(k0, 0); fps.push(k0); par.push(0);
  let mut front = vec![(0u32, s0.clone())]; let mut depth = 0; let mut trans = 0u64; let mut out = vec![];
  let args: Vec<String> = std::env::args().skip(1).collect();
  let mut full = true;
  'bfs: while !front.is_empty() {
    let mut next = vec![];
    for (id, s) in &front {
      out.clear(); succ(s, &f, &mut out);
      for x in out.drain(..) { trans += 1; match x {
        Out::Bad(w, why) => {
          println!("[{}] {}\n  VIOLATION after {} states ({} transitions, {:.1}s), {} steps: {}", label, args.join(" "), fps.len(), trans, t0.elapsed().as_secs_f32(), depth + 1, why);
          let mut path = vec![]; let mut i = *id; while i != 0 { path.push(fps[i as usize]); i = par[i as usize]; } path.reverse();
          let mut c = s0.clone(); let mut o2 = vec![];
          for (i, p) in path.iter().enumerate() { o2.clear(); succ(&c, &f, &mut o2); let mut nx = None;
            for y in o2.drain(..) { if let Out::Next(t, u) = y { if fp(&key(&u, f.n)) == *p { nx = Some((t, u)); break; } } }
            let (t, u) = nx.expect("replay"); println!("   {:2}. {}", i + 1, t); c = u; }
          o2.clear(); succ(&c, &f, &mut o2);
          let fin = o2.iter().find_map(|y| if let Out::Bad(w2, y2) = y { if y2.split(':').next() == why.split(':').next() { Some(format!("{}: {}", w2, y2)) } else { None } } else { None }).unwrap_or(format!("{}: {}", w, why));
          println!("   {:2}. {}", path.len() + 1, fin); return;
        }
        Out::Next(_, u) => { let k = fp(&key(&u, f.n)); if let Entry::Vacant(v) = ids.entry(k) { let nid = fps.len() as u32; v.insert(nid); fps.push(k); par.push(*id); next.push((nid, u)); } }
      } }
      if fps.len() > f.maxst { full = false; break 'bfs; }
    }
    front = next; depth += 1;
  }
  println!("[{}] {}\n  {}: {} states, {} transitions, depth {}, {:.1}s", label, args.join(" "), if full { "HOLDS, exhausted" } else { "no violation found, NOT exhausted (state cap)" }, fps.len(), trans, depth, t0.elapsed().as_secs_f32());
}
