# R's RSQLite: story LIBRARY URL DATABASE
library(DBI)

arguments <- commandArgs(trailingOnly = TRUE)
extension <- arguments[1]
url <- arguments[2]
database <- arguments[3]

open_replica <- function(path, options = "{}") {
  db <- dbConnect(RSQLite::SQLite(), path, loadable.extensions = TRUE, synchronous = NULL)
  dbGetQuery(db, "SELECT load_extension(?)", params = list(extension))
  dbGetQuery(db, "SELECT replica_attach(?, NULL, ?)", params = list(url, options))
  db
}

value <- function(db, sql, ...) {
  if (...length() == 0) dbGetQuery(db, sql)[[1]] else dbGetQuery(db, sql, params = list(...))[[1]]
}

# Runs one statement on the primary; it is readable here afterwards.
write_to <- function(db, sql, argument, path) {
  value(db, "SELECT replica_write(?, ?) ->> ?", sql, argument, path)
}

db <- open_replica(database)
cat("step: load", value(db, "SELECT replica_version()"), "RSQLite", format(packageVersion("RSQLite")), "\n")
cat("step: attach", format(value(db, "SELECT frame_no FROM replica_status")), "\n")

stopifnot(value(db, "SELECT item FROM orders WHERE id = ?", 7) == "lantern")
cat("step: read\n")

insert <- "INSERT INTO orders(item) VALUES (?)"
stopifnot(write_to(db, insert, "kite", "rows_affected") == 1)
stopifnot(value(db, "SELECT id FROM orders WHERE item = ?", "kite") == 8)
cat("step: write\n")

stopifnot(write_to(db, paste(insert, "RETURNING id"), "drum", "$.rows[0][0]") == 9)
cat("step: returning\n")

error <- tryCatch({ write_to(db, insert, "kite", "frame_no"); NULL }, error = conditionMessage)
stopifnot(grepl("UNIQUE constraint failed: orders.item", error))
cat("step: constraint", error, "\n")

error <- tryCatch({ dbExecute(db, "INSERT INTO orders(item) VALUES ('stray')"); NULL }, error = conditionMessage)
stopifnot(grepl("readonly", error))
cat("step: readonly", error, "\n")

other <- open_replica(paste0(database, "-other"))
invisible(write_to(other, insert, "rope", "frame_no"))
invisible(value(db, "SELECT replica_sync()"))
stopifnot(value(db, "SELECT count(*) FROM orders WHERE item = 'rope'") == 1)
cat("step: sync\n")

dbDisconnect(db)
db <- open_replica(database, '{"live": true}')
frame_no <- write_to(other, insert, "flute", "frame_no")
invisible(value(db, "SELECT replica_wait(?, 10)", frame_no))
stopifnot(value(db, "SELECT count(*) FROM orders WHERE item = 'flute'") == 1)
cat("step: live\n")

dbDisconnect(db)
dbDisconnect(other)
