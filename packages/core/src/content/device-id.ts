/** Letters, digits and `. _ : + = @ -`, at most 128, beginning with a letter or digit: fits in a URL path, a topic and a journal key. */
const pattern = /^[A-Za-z0-9][A-Za-z0-9._:+=@-]{0,127}$/

/** Whether a text can be the id of a device. */
export function isDeviceId(text: unknown): text is string {
  return typeof text === 'string' && pattern.test(text)
}
