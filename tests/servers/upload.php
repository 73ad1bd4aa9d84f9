<?php
// An image host, as `gd` and `image_filter` in lossy.sh start it: it makes a JPEG of each upload, by GD's
// default or of the quality that nginx passes on, or keeps the picture as it is.

// Two segments for applications, as large as they can be.
const METADATA = 2;

$upload = $_FILES['picture']['tmp_name'] ?? '';
$quality = $_SERVER['QUALITY'];
$name = bin2hex(random_bytes(8));
$path = $_SERVER['PICTURES'] . "/$name";
if ($quality === 'kept') {
    $done = move_uploaded_file($upload, $path);
} else {
    $picture = @imagecreatefrompng($upload);
    $done = $picture && imagejpeg($picture, $path, $quality === 'default' ? -1 : (int) $quality);
}
if ($done && $_SERVER['METADATA'] !== '') {
    $metadata = str_repeat("\xff\xed\xff\xff" . str_repeat(' ', 0xffff - 2), METADATA);
    file_put_contents($path, substr_replace(file_get_contents($path), $metadata, 2, 0));
}
http_response_code($done ? 201 : 400);
header('Content-Type: application/json');
echo json_encode(['name' => $name]);
