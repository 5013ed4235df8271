import Link from "next/link";

// Rendered on each request, as LobeChat's pages are.
export const dynamic = "force-dynamic";

export default function Home() {
  return (
    <nav>
      {/* Not prefetched: a test flips the release between the page and the click. */}
      <Link id="item" href="/item/7" prefetch={false}>An item</Link>
      <Link id="prefetched" href="/item/8">A prefetched item</Link>
    </nav>
  );
}
