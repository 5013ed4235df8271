export const metadata = { title: "Stand-in", manifest: "/manifest.webmanifest", icons: "data:," };

export default function Layout({ children }) {
  return (
    <html lang="en" data-build={process.env.BUILD}>
      <body>{children}</body>
    </html>
  );
}
