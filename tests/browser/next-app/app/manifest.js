export default function manifest() {
  return { name: `Stand-in ${process.env.BUILD}`, start_url: "/", display: "standalone", icons: [] };
}
