-- wrk's requests and its result, as bench/peer/wrk.ts gives and reads them. {n} in path, headers and body is the number of a device; the
-- requests of all devices are made beforehand and sent in turn.
local method = os.getenv("WRK_METHOD") or "GET"
local path = os.getenv("WRK_PATH")
local body = os.getenv("WRK_BODY")
local devices = tonumber(os.getenv("WRK_DEVICES") or "1")
local requests = {}
local next = 0

function init()
  for n = 0, devices - 1 do
    local function filled(text) return (string.gsub(text, "{n}", tostring(n))) end
    local headers = {}
    for name, value in pairs(wrk.headers) do headers[name] = filled(value) end
    if body == "" then body = nil end
    if body then headers["Content-Type"] = "application/json" end
    requests[n] = wrk.format(method, filled(path), headers, body and filled(body))
  end
end

function request()
  next = (next + 1) % devices
  return requests[next]
end

function done(summary, latency)
  local e = summary.errors
  io.write(string.format(
    'RESULT {"requests":%d,"bytes":%.0f,"durationMicros":%.0f,"p99Micros":%.0f,"errors":%d}\n',
    summary.requests, summary.bytes, summary.duration, latency:percentile(99), e.connect + e.read + e.write + e.status + e.timeout
  ))
end
