-- What do many small tables and many strings cost? Returns a number that is the same every time.

local function tree(depth)
    if depth == 0 then
        return {}
    end
    return { tree(depth - 1), tree(depth - 1) }
end

local function count(node)
    if not node[1] then
        return 1
    end
    return 1 + count(node[1]) + count(node[2])
end

local sum = 0

-- One tree stays while many others come and go.
local lasting = tree(14)
for depth = 4, 14, 2 do
    for _ = 1, 1 << (15 - depth) do
        sum = sum + count(tree(depth))
    end
end
sum = sum + count(lasting)

-- Strings, built piece by piece and joined, and tables that have them as keys.
local words = {}
for i = 1, 40000 do
    local word = "word" .. i % 977
    words[#words + 1] = word .. ":" .. i
    if #words == 500 then
        local text = table.concat(words, ", ")
        local seen = {}
        for name in text:gmatch("%a+%d+") do
            seen[name] = (seen[name] or 0) + 1
        end
        sum = sum + #text:upper():gsub("WORD", "entry number ")
        for _, n in pairs(seen) do
            sum = sum + n
        end
        words = {}
    end
end

return sum
