"use client";
// In a chunk whose path has brackets and parentheses. Shows who made the data and who made the script.

import Link from "next/link";

export function Item({ id, server }) {
  return (
    <nav>
      <p id="shown">{`item ${id}: data of ${server}, script of ${process.env.BUILD}`}</p>
      <Link id="home" href="/" prefetch={false}>Home</Link>
    </nav>
  );
}
