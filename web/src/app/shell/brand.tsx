/** The name and sign of the product. */

export function Brand() {
  return (
    <span className="brand">
      <svg viewBox="0 0 32 32" width="24" height="24" fill="none" strokeWidth="4" strokeLinecap="round" aria-hidden="true">
        <path d="M3 21h26" stroke="var(--accent)" />
        <path d="M7 21c4-14 14-14 18 0" stroke="var(--accent)" opacity="0.6" />
      </svg>
      Anabranch
    </span>
  );
}
