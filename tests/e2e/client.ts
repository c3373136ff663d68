// A shop front end in TypeScript, with the types that openapi-typescript makes of the OpenAPI document: buys as a guest.
import createClient from "openapi-fetch"
import type { components, paths } from "./schema.ts"

const [edge, clerkToken] = process.argv.slice(2) as [string, string]
const baseUrl = `${edge}/v1`
const visitor = createClient<paths>({ baseUrl })
const json = { "Content-Type": "application/json" }

function given<T>(answer: { data?: T; error?: unknown; response: Response }): T {
  if (answer.data === undefined) throw new Error(`${answer.response.url} ${answer.response.status} ${JSON.stringify(answer.error)}`)
  return answer.data
}

const clerk = createClient<paths>({ baseUrl, headers: { Authorization: `Bearer ${clerkToken}` } })
const sku = "TS-MUG"
given(await clerk.PUT("/products/{sku}", { params: { path: { sku } }, body: { name: "Mug", prices: [{ currency: "GBP", amount: "4.50" }] } }))
given(await clerk.PUT("/stock/{product_id}", { params: { path: { product_id: sku } }, body: { on_hand: 5 } }))

const form = new URLSearchParams({ grant_type: "urn:zerocart:guest" })
const token: { access_token: string } = await (await fetch(`${baseUrl}/token`, { method: "POST", body: form })).json()
const guest = createClient<paths>({ baseUrl, headers: { Authorization: `Bearer ${token.access_token}`, ...json } })

const address: components["schemas"]["ShippingAddress"] = { name: "Ann", line1: "1 High Street", city: "Leeds", country: "GB" }
const items = [{ product_id: sku, quantity: 2 }]
const payment = { kind: "card" as const, token: "tok_approve" }
let placed
for (let attempt = 0; attempt < 600 && !placed; attempt++) {
  const answer = await guest.POST("/orders", {
    params: { header: { "Idempotency-Key": "typescript" } },
    body: { email: "ann@example.com", items, shipping_address: address, payment_method: payment },
  })
  if (answer.response.status === 422) await new Promise((done) => setTimeout(done, 500)) // orders does not know the product yet
  else placed = given(answer)
}
if (!placed) throw new Error("the product was not sold")
for (let attempt = 0; attempt < 600; attempt++) {
  const answer = await guest.GET("/orders/{order_id}", {
    params: { path: { order_id: placed.order_id }, query: { position: placed.position } }, // what was accepted is shown
  })
  if (answer.response.status !== 503) { // with 503 the views ask to come again
    const order = given(answer)
    if (order.status === "confirmed") {
      console.log(JSON.stringify({ status: order.status, total: order.total.amount, lines: order.items.length }))
      process.exit(0)
    }
  }
  await new Promise((done) => setTimeout(done, 500))
}
throw new Error("the order was not confirmed")
