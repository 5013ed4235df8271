//! Prepares the nginx glue; cargo runs it before each build. Without the feature `module` there is nothing
//! to do: the library is pure Rust then.
//!
//! nginx-sys has found the nginx headers and tells what it found in `DEP_NGINX_*`. From that come the cfgs
//! of the glue, the C accessors (`src/nginx/shim.c`), their bindings (`OUT_DIR/shim.rs`) and the C compiler's
//! view of every struct field the glue uses (`OUT_DIR/layout.c`).

#[cfg(not(feature = "module"))]
fn main() {
    println!("cargo::rerun-if-changed=build.rs");
}

#[cfg(feature = "module")]
fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if let Err(sentence) = module::prepare() {
        // Fails the build once this program has ended.
        println!("cargo::error={sentence}");
    }
}

#[cfg(feature = "module")]
mod module {
    use std::env;
    use std::fs;
    use std::path::PathBuf;

    /// The oldest nginx whose structures and calls the glue knows (Debian 12 has 1.22.1).
    const OLDEST: u32 = 1_022_000;

    /// Versions at which something the glue uses has changed, and the cfg that says "at least this one".
    const VERSION_CFGS: &[(u32, &str)] = &[
        (1_023_000, "nginx1_23_0"), // headers_in.cookie and ngx_table_elt_t.next: header lines are linked lists
        (1_027_003, "nginx1_27_3"), // upstream peers that are resolved at run time and counted
        (1_029_006, "nginx1_29_6"), // sticky sessions: peer.notify, peer.hint
    ];

    const SHIM_HEADER: &str = "src/nginx/shim.h";
    const SHIM_SOURCES: [&str; 3] = ["src/nginx/shim.c", "src/nginx/shim_api.c", "src/nginx/shim_events.c"];
    const LAYOUT_FIELDS: &str = "src/nginx/layout_fields.rs";

    pub fn prepare() -> Result<(), String> {
        for file in SHIM_SOURCES.into_iter().chain([SHIM_HEADER, LAYOUT_FIELDS]) {
            println!("cargo::rerun-if-changed={file}");
        }
        let nginx = Nginx::from_dependency()?;
        let cfgs = nginx.emit_cfgs()?;
        let fields = fs::read_to_string(LAYOUT_FIELDS).map_err(|e| format!("{LAYOUT_FIELDS}: {e}"))?;
        let layout = out_dir()?.join("layout.c");
        let text = layout_source(&fields, &cfgs).map_err(|e| format!("{LAYOUT_FIELDS}: {e}"))?;
        fs::write(&layout, text).map_err(|e| format!("{}: {e}", layout.display()))?;
        let sources = SHIM_SOURCES.map(PathBuf::from);
        nginx.compile(&[&sources[..], &[layout]].concat())?;
        nginx.bind()
    }

    /// What nginx-sys says about the nginx it was built against.
    struct Nginx {
        version: u32,
        build_dir: PathBuf,
        includes: Vec<PathBuf>,
        defines: Vec<String>,
    }

    impl Nginx {
        fn from_dependency() -> Result<Self, String> {
            let version = metadata("VERSION_NUMBER")?;
            let version: u32 = version.parse().map_err(|_| {
                format!("the nginx headers have the version number \"{version}\", which is none")
            })?;
            let build_dir = PathBuf::from(metadata("BUILD_DIR")?);
            if version < OLDEST {
                return Err(format!(
                    "nginx {} in {} is not supported: 1.22.0 is the oldest that is. Install a newer nginx and \
                     nginx-dev, or point NGINX_SOURCE_DIR at the source of a newer one, and run scripts/build.",
                    dotted(version),
                    build_dir.display()
                ));
            }
            if !metadata("FEATURES")?.split(',').any(|f| f == "http") {
                return Err(format!(
                    "nginx {} in {} has been configured without its http part: run its configure again without \
                     --without-http, then scripts/build.",
                    dotted(version),
                    build_dir.display()
                ));
            }
            for file in ["Makefile", "ngx_auto_config.h"] {
                println!("cargo::rerun-if-changed={}", build_dir.join(file).display());
            }
            Ok(Self {
                version,
                build_dir,
                includes: env::split_paths(&metadata("INCLUDE")?).collect(),
                // Absent when nginx was configured without any -D.
                defines: env::var("DEP_NGINX_CFLAGS")
                    .unwrap_or_default()
                    .split_whitespace()
                    .map(str::to_owned)
                    .collect(),
            })
        }

        /// Tells rustc the cfgs and returns those that hold, as they are written in the source.
        fn emit_cfgs(&self) -> Result<Vec<String>, String> {
            println!("cargo::rustc-check-cfg=cfg(ngx_feature, values({}))", metadata("FEATURES_CHECK")?);
            println!("cargo::rustc-check-cfg=cfg(ngx_os, values({}))", metadata("OS_CHECK")?);
            let features = metadata("FEATURES")?;
            let mut cfgs: Vec<String> = features.split(',').map(|f| format!("ngx_feature=\"{f}\"")).collect();
            cfgs.push(format!("ngx_os=\"{}\"", metadata("OS")?));
            for (since, cfg) in VERSION_CFGS {
                println!("cargo::rustc-check-cfg=cfg({cfg})");
                if self.version >= *since {
                    cfgs.push((*cfg).to_owned());
                }
            }
            for cfg in &cfgs {
                println!("cargo::rustc-cfg={cfg}");
            }
            Ok(cfgs)
        }

        fn compile(&self, sources: &[PathBuf]) -> Result<(), String> {
            let mut build = cc::Build::new();
            // nginx's headers have unused parameters in inline functions; its own flags allow them as well.
            build.includes(&self.includes).files(sources).flag("-Wno-unused-parameter");
            // Symbols of one module must not meet those of another in the same process.
            build.flag("-fvisibility=hidden");
            for define in &self.defines {
                build.flag(define);
            }
            if let Ok(sanitizer) = env::var("CARGO_CFG_SANITIZE") {
                build.flag(format!("-fsanitize={sanitizer}"));
            }
            build.try_compile("canary_shim").map_err(|_| {
                format!(
                    "the C part does not compile against the nginx {} headers in {}; the compiler's messages are \
                     above. A field that this version lacks needs a cfg in {LAYOUT_FIELDS} or an #if in one of {}.",
                    dotted(self.version),
                    self.build_dir.display(),
                    SHIM_SOURCES.join(", "),
                )
            })
        }

        /// Declares the functions of the shim to Rust; the types they use are nginx-sys's own.
        fn bind(&self) -> Result<(), String> {
            let clang = bindgen::Builder::default()
                .header(SHIM_HEADER)
                .clang_args(self.includes.iter().map(|dir| format!("-I{}", dir.display())))
                .clang_args(&self.defines)
                .allowlist_function("canary_.*")
                .allowlist_recursively(false)
                .rust_edition(bindgen::RustEdition::Edition2024)
                .use_core()
                .raw_line("use nginx_sys::*;")
                .layout_tests(false);
            let target = out_dir()?.join("shim.rs");
            let bindings = clang
                .generate()
                .map_err(|e| format!("bindgen cannot read {SHIM_HEADER}: {}", one_line(&e.to_string())))?;
            bindings.write_to_file(&target).map_err(|e| format!("{}: {e}", target.display()))
        }
    }

    /// Writes C that holds offset and size of each listed field, and the size of each struct after its fields, in
    /// the order of the list. `src/nginx/layout.rs` reads the same list with a macro and compares.
    fn layout_source(list: &str, cfgs: &[String]) -> Result<String, String> {
        let text: String =
            list.lines().map(|l| l.split("//").next().unwrap_or(l)).collect::<Vec<_>>().join(" ");
        let body = text
            .split_once("layout_fields! {")
            .and_then(|(_, rest)| rest.trim_end().strip_suffix('}'))
            .ok_or("expected `layout_fields! { STRUCT: FIELD, FIELD; … }`")?;
        let mut c = String::from(
            "#include <stddef.h>\n#include <ngx_config.h>\n#include <ngx_core.h>\n#include <ngx_http.h>\n\n\
             const size_t canary_layout[] = {\n",
        );
        for entry in body.split(';').map(str::trim).filter(|e| !e.is_empty()) {
            let entry = match split_cfg(entry)? {
                (None, rest) => rest,
                (Some(cfg), rest) if holds(cfg, cfgs)? => rest,
                _ => continue,
            };
            let (structure, fields) =
                entry.split_once(':').ok_or_else(|| format!("no `:` in \"{entry}\""))?;
            let structure = structure.trim();
            for field in fields.split(',').map(str::trim).filter(|f| !f.is_empty()) {
                let field = c_path(field);
                c.push_str(&format!(
                    "    offsetof({structure}, {field}), sizeof((({structure} *) 0)->{field}),\n"
                ));
            }
            c.push_str(&format!("    sizeof({structure}),\n"));
        }
        c.push_str("};\n\nconst size_t canary_layout_length = sizeof(canary_layout) / sizeof(size_t);\n");
        Ok(c)
    }

    /// Splits `#[cfg(C)] REST`.
    fn split_cfg(entry: &str) -> Result<(Option<&str>, &str), String> {
        let Some(rest) = entry.strip_prefix("#[cfg(") else { return Ok((None, entry)) };
        let (cfg, rest) = rest.split_once(")]").ok_or_else(|| format!("no `)]` in \"{entry}\""))?;
        Ok((Some(cfg), rest.trim()))
    }

    /// Evaluates `NAME`, `ngx_feature = "NAME"` and `not(…)` of these; more has not been needed.
    fn holds(cfg: &str, cfgs: &[String]) -> Result<bool, String> {
        let cfg: String = cfg.split_whitespace().collect();
        if let Some(inner) = cfg.strip_prefix("not(").and_then(|c| c.strip_suffix(')')) {
            return Ok(!holds(inner, cfgs)?);
        }
        let known = VERSION_CFGS.iter().any(|(_, name)| *name == cfg)
            || cfg.starts_with("ngx_feature=\"") && !cfg.contains(',');
        if !known {
            return Err(format!("cfg({cfg}) is not understood here: name one cfg, or not(one)"));
        }
        Ok(cfgs.contains(&cfg))
    }

    /// A field as C spells it: bindgen appends `_` to Rust's keywords and names unnamed members.
    fn c_path(rust: &str) -> String {
        rust.split('.')
            .filter(|part| !part.starts_with("__bindgen_anon_"))
            .map(|part| part.trim_end_matches('_'))
            .collect::<Vec<_>>()
            .join(".")
    }

    fn metadata(name: &str) -> Result<String, String> {
        let variable = format!("DEP_NGINX_{name}");
        env::var(&variable).map_err(|_| {
            format!(
                "{variable} is missing: the nginx-sys crate has found no nginx headers. Run scripts/build (it installs \
                 and configures them), or scripts/build --vendored, in place of cargo build."
            )
        })
    }

    fn out_dir() -> Result<PathBuf, String> {
        env::var_os("OUT_DIR")
            .map(PathBuf::from)
            .ok_or_else(|| "OUT_DIR is missing: cargo sets it".to_owned())
    }

    fn dotted(version: u32) -> String {
        format!("{}.{}.{}", version / 1_000_000, version / 1000 % 1000, version % 1000)
    }

    fn one_line(text: &str) -> String {
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }
}
